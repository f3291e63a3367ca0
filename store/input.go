package store

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lumen/store/address"
)

// CustomerInput is what a caller says of a customer, on create and on update alike. Empty text means null.
type CustomerInput struct {
	Email               Optional[string]
	Name                Optional[string]
	UserID              Optional[string]
	BillingAddressLine1 Optional[string]
	BillingAddressLine2 Optional[string]
	BillingCity         Optional[string]
	BillingPostalCode   Optional[string]
	BillingCountry      Optional[string]
	TaxID               Optional[string]

	// DangerouslyAllowSameEmailForDifferentCustomers admits an address that another live customer has.
	DangerouslyAllowSameEmailForDifferentCustomers bool

	// WrongType names the fields whose value a door could not read as their type. They are reported together with
	// what the store finds.
	WrongType []string
}

// field is the rule of one field of a customer. Lengths are in code points.
type field struct {
	name     string
	column   string
	of       func(*CustomerInput) *Optional[string]
	max      int
	noFormat bool // format characters (Cf) are refused as well
	check    func(string) (string, bool)
}

// fields are the rules, in the documented order. The email comes first: its limit is in octets, its form its own.
var fields = []field{
	{name: "email", column: "email", of: func(in *CustomerInput) *Optional[string] { return &in.Email }, noFormat: true, check: checkEmail},
	{name: "name", column: "name", of: func(in *CustomerInput) *Optional[string] { return &in.Name }, max: 255},
	{name: "userId", column: "user_id", of: func(in *CustomerInput) *Optional[string] { return &in.UserID }, max: 255, noFormat: true},
	{name: "billingAddressLine1", column: "billing_address_line1", of: func(in *CustomerInput) *Optional[string] { return &in.BillingAddressLine1 }, max: 255},
	{name: "billingAddressLine2", column: "billing_address_line2", of: func(in *CustomerInput) *Optional[string] { return &in.BillingAddressLine2 }, max: 255},
	{name: "billingCity", column: "billing_city", of: func(in *CustomerInput) *Optional[string] { return &in.BillingCity }, max: 255},
	{name: "billingPostalCode", column: "billing_postal_code", of: func(in *CustomerInput) *Optional[string] { return &in.BillingPostalCode }, max: 32, noFormat: true},
	{name: "billingCountry", column: "billing_country", of: func(in *CustomerInput) *Optional[string] { return &in.BillingCountry }, check: checkCountry},
	{name: "taxId", column: "tax_id", of: func(in *CustomerInput) *Optional[string] { return &in.TaxID }, max: 64, noFormat: true},
}

// FieldNames are the documented names of a customer's writable fields, in the documented order.
var FieldNames = func() []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}()

// DangerousFlag is the documented name of the one key of an input that is not a field of the customer.
const DangerousFlag = "dangerouslyAllowSameEmailForDifferentCustomers"

// touchesEmail reports whether the input says anything of the email, even what can't be read, or sets the flag.
func (in CustomerInput) touchesEmail() bool {
	return in.Email.Present() || in.DangerouslyAllowSameEmailForDifferentCustomers ||
		slices.Contains(in.WrongType, "email") || slices.Contains(in.WrongType, DangerousFlag)
}

// Field returns where the input keeps the field with this documented name, which is one of FieldNames.
func (in *CustomerInput) Field(name string) *Optional[string] { return fieldNamed(name).of(in) }

func fieldNamed(name string) field {
	return fields[slices.IndexFunc(fields, func(f field) bool { return f.name == name })]
}

// normalize returns the input as it is stored: white space around values trimmed, empty ones null, the country in
// upper case. A missing email wins over every other fault; else all faults are reported together.
func (in CustomerInput) normalize(creating bool) (CustomerInput, error) {
	out := in
	var faults []Fault
	for _, f := range fields {
		if slices.Contains(in.WrongType, f.name) {
			faults = append(faults, NewFault(f.name, WrongType))
			continue
		}
		value := f.of(&in).Ptr()
		if value == nil {
			continue
		}
		trimmed := strings.TrimSpace(*value)
		if trimmed == "" {
			*f.of(&out) = Null[string]()
			continue
		}
		stored, found := f.normalize(trimmed)
		faults = append(faults, found...)
		*f.of(&out) = Set(stored)
	}
	if slices.Contains(in.WrongType, DangerousFlag) {
		faults = append(faults, NewFault(DangerousFlag, WrongType))
	}

	emailSaid := out.Email.Present() || creating
	if emailSaid && out.Email.Ptr() == nil && !slices.Contains(in.WrongType, "email") {
		return out, NewError(EmailRequired)
	}
	return out, Invalid(faults...)
}

// normalize returns a trimmed, not empty value as it is stored, and its faults.
func (f field) normalize(value string) (string, []Fault) {
	if !utf8.ValidString(value) {
		return value, []Fault{NewFault(f.name, InvalidFormat)}
	}
	var faults []Fault
	if strings.ContainsFunc(value, f.forbids) {
		faults = append(faults, NewFault(f.name, ForbiddenCharacter))
	}
	if f.max > 0 && utf8.RuneCountInString(value) > f.max || f.name == "email" && len(value) > address.MaxOctets {
		faults = append(faults, NewFault(f.name, TooLong))
	}
	if f.check != nil && len(faults) == 0 {
		stored, ok := f.check(value)
		if !ok {
			return value, []Fault{NewFault(f.name, InvalidFormat)}
		}
		return stored, nil
	}
	return value, faults
}

func (f field) forbids(r rune) bool {
	return unicode.Is(unicode.Cc, r) || f.noFormat && unicode.Is(unicode.Cf, r)
}

// checkEmail accepts an address, which is stored as it was sent.
func checkEmail(email string) (string, bool) { return email, address.IsValid(email) }

// checkCountry accepts an officially assigned ISO 3166-1 alpha-2 code in any case.
func checkCountry(code string) (string, bool) {
	if len(code) != 2 { // before the case is changed, which makes ASCII of some other letters
		return "", false
	}
	code = strings.ToUpper(code)
	return code, strings.Contains(" "+countries+" ", " "+code+" ")
}

// countries are the officially assigned codes of ISO 3166-1 alpha-2.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT " +
	"MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
	"SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
