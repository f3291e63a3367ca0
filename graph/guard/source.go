package guard

// DocumentSource is where the document of a request came from.
type DocumentSource string

// The sources of documents.
const (
	NoDocument      DocumentSource = "" // the request was refused before
	TrustedDocument DocumentSource = "trusted"
	KeptDocument    DocumentSource = "kept" // from an earlier request
	ParsedDocument  DocumentSource = "parsed"
)
