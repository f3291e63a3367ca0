package guard

// DocumentSource says where the document of a request came from.
type DocumentSource string

// The sources of documents.
const (
	NoDocument      DocumentSource = "" // the request was refused earlier
	TrustedDocument DocumentSource = "trusted"
	KeptDocument    DocumentSource = "kept" // from the cache
	ParsedDocument  DocumentSource = "parsed"
)
