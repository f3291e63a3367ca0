package program

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"lumen/store/auth"
	"lumen/store/owner"
)

// jsonFlag is on the commands that print a result.
type jsonFlag struct {
	JSON bool `name:"json" help:"Print one JSON document on standard output."`
}

// printJSON writes a document on one line.
func (t terminal) printJSON(document any) error { return json.NewEncoder(t.out).Encode(document) }

// table prints rows in columns. The first row is the header.
func (t terminal) table(rows [][]string) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for _, cell := range row {
			_, _ = fmt.Fprint(w, cell, "\t")
		}
		_, _ = fmt.Fprintln(w)
	}
	return w.Flush()
}

// confirm asks the person at the terminal to type yes.
func (t terminal) confirm(in io.Reader, what string) bool {
	_, _ = fmt.Fprintf(t.err, "%s\nType yes to go on: ", what)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	return strings.TrimSpace(answer) == "yes"
}

// isTerminal reports whether a stream of this process is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func shortTime(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// newKey is a key with its secret. Its creation is the only time that the secret is printed.
type newKey struct {
	owner.Key
	Secret string `json:"secret"`
}

func (t terminal) printSecret(secret auth.Secret) {
	_, _ = fmt.Fprintf(t.out, "\nThe key, shown only this once:\n\n  %s\n\n", string(secret))
}
