package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// apolloFormat is the member format of a manifest of Apollo.
const apolloFormat = "apollo-persisted-query-manifest"

// ReadManifest returns the documents of a manifest of trusted documents, by id. It reads the JSON
// object of ids and documents that graphql-codegen's client preset and Relay's compiler write, and
// the list of operations that Apollo's tools write. Any other form is an error.
func ReadManifest(manifest []byte) (map[string]string, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(manifest, &members); err != nil {
		return nil, errors.New("not a JSON object of ids and documents")
	}
	if _, ok := members["operations"]; ok {
		return readApolloManifest(manifest)
	}
	var documents map[string]string
	if err := json.Unmarshal(manifest, &documents); err != nil {
		return nil, errors.New("not a JSON object of ids and documents")
	}
	return documents, nil
}

func readApolloManifest(manifest []byte) (map[string]string, error) {
	var apollo struct {
		Format     string `json:"format"`
		Version    int    `json:"version"`
		Operations []struct {
			ID   string `json:"id"`
			Body string `json:"body"`
		} `json:"operations"`
	}
	if err := json.Unmarshal(manifest, &apollo); err != nil || apollo.Format != apolloFormat || apollo.Version != 1 {
		return nil, fmt.Errorf("not version 1 of an %s", apolloFormat)
	}
	documents := make(map[string]string)
	for _, operation := range apollo.Operations {
		if _, twice := documents[operation.ID]; twice {
			return nil, fmt.Errorf("two operations have the id %.64q", operation.ID)
		}
		documents[operation.ID] = operation.Body
	}
	return documents, nil
}

// digestPrefix precedes an id that is a SHA-256 digest, according to the specification of persisted
// documents. Not every tool writes it, and not every client sends it.
const digestPrefix = "sha256:"

// Trusted holds the documents that an operator has approved, ready to be executed.
type Trusted struct {
	documents map[string]*Document
	only      bool
}

// Trust prepares the documents of a manifest, which maps ids to documents. With only, the server
// executes no other documents. The error names each document that the schema or a limit refuses.
func Trust(
	schema Schema, manifest map[string]string, limits Limits, costs *Costs, only bool,
) (*Trusted, error) {
	if len(manifest) == 0 {
		return nil, errors.New("it has no documents")
	}
	preparing := NewDocuments(schema, limits, nil)
	t := &Trusted{documents: make(map[string]*Document, len(manifest)), only: only}
	var faults []string
	for id, text := range manifest {
		key := strings.TrimPrefix(id, digestPrefix)
		fault := ""
		prepared, refused := preparing.parse(text)
		switch {
		case key == "":
			fault = "the id is empty"
		case t.documents[key] != nil:
			fault = "another document has the same id"
		case len(refused) > 0:
			fault = refused[0].Message
		case costs.minCost(prepared) > limits.Cost:
			fault = overLimit("the operation costs too much", limits.Cost).Message
		}
		if fault != "" {
			faults = append(faults, fmt.Sprintf("document %.64q: %s", key, fault))
			continue
		}
		t.documents[key] = prepared
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return t, nil
}

// Only reports whether the server executes only trusted documents.
func (t *Trusted) Only() bool { return t != nil && t.only }

func (t *Trusted) find(id string) *Document {
	if t == nil {
		return nil
	}
	return t.documents[strings.TrimPrefix(id, digestPrefix)]
}
