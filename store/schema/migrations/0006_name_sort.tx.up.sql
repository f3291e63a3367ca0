-- What customers are sorted by name with: the key of the name in Unicode's root collation. The next step
-- computes it for the customers that are there, and makes its indexes.
ALTER TABLE customers ADD COLUMN name_sort bytea;
GRANT UPDATE (name_sort) ON customers TO lumen_app;
