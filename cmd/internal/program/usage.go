package program

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// rewordings turn the parser's errors into ones that name what the user wrote and what to write in
// its place. A value from a variable is not repeated.
var rewordings = []struct {
	form *regexp.Regexp
	text string
}{
	{regexp.MustCompile(`(?s)^--[\w-]+(.*) \(from envar (\w+)=".*"\)$`), "$2$1"},
	{regexp.MustCompile(`: expected \w+ value but got "EOL" \(<EOL>\)$`), " needs a value"},
	{regexp.MustCompile(`: expected duration but got .*$`), " is not a duration; one looks like 30s or 10m"},
	{regexp.MustCompile(`: bool value must be .*$`), " must be true or false"},
	{regexp.MustCompile(`: invalid map value .*$`), " is not a list of costs; one looks like Query.customers=10,Customer.id=0"},
	{regexp.MustCompile(`: expected "<key>=<value>" but got .*$`), " is not a list of costs; one looks like Query.customers=10,Customer.id=0"},
	{regexp.MustCompile(`, did you mean "(.*)"\?$`), "; did you mean $1?"},
	{regexp.MustCompile(`","`), `", "`},
	{regexp.MustCompile(`^expected "<(.*)>"$`), "the argument <$1> is missing"},
	{regexp.MustCompile(`^expected one of (.*)$`), "a command is missing: one of $1"},
}

// withoutArguments matches what stands behind a command in its path.
var withoutArguments = regexp.MustCompile(` \[?<.*$`)

// failUsage reports a wrong command line. Without any command it prints the help, too.
func (t terminal) failUsage(parser *kong.Kong, err error, args []string) int {
	text := err.Error()
	for _, r := range rewordings {
		text = r.form.ReplaceAllString(text, r.text)
	}
	help := t.invocation
	var parseError *kong.ParseError
	if errors.As(err, &parseError) {
		node := parseError.Context.Selected()
		if node == nil || len(node.Children) > 0 {
			text = strings.Replace(text, "unexpected argument", "unknown command", 1)
		}
		if node != nil {
			help = strings.TrimSpace(withoutArguments.ReplaceAllString(node.FullPath(), ""))
			text = strings.TrimPrefix(text, node.Path()+": ")
		} else if len(args) == 0 {
			parser.Stdout = t.err // where everything goes that is not a result
			_ = parseError.Context.PrintUsage(false)
			text = "a command is missing"
		}
	}
	return t.fail(errors.New(withoutSecrets(text, args)+"; see: "+help+" --help"), 2)
}

// withoutSecrets returns a text about the command line without the arguments that may be connection
// strings: a user may have put one where none belongs.
func withoutSecrets(text string, args []string) string {
	for _, arg := range args {
		if flag, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(flag, "--") {
			arg = value
		}
		if !strings.ContainsAny(arg, "=@") {
			continue
		}
		for _, form := range []string{arg, strings.Trim(strconv.Quote(arg), `"`)} {
			text = strings.ReplaceAll(text, form, "...")
		}
	}
	return text
}
