package program

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
)

// otherVariables are the LUMEN_ variables that no flag reads: those of the manuals, of
// compose.yaml, of the clients' examples and of the development of Lumen.
var otherVariables = []string{
	"LUMEN_KEY", "LUMEN_OTHER_KEY", "LUMEN_TOKEN", "LUMEN_URL",
	"LUMEN_IMAGE", "LUMEN_OWNER_PASSWORD", "LUMEN_PORT", "LUMEN_SERVE_PASSWORD",
	"LUMEN_BREAKING", "LUMEN_FUZZ_SECONDS", "LUMEN_SCHEMA",
}

// foreignVariable matches the variables of tests, and those that Kubernetes sets in each pod for a
// Service whose name begins with "lumen".
var foreignVariable = regexp.MustCompile(
	`^LUMEN_TEST_|^LUMEN_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$`)

// maxTypos is how many letters of a variable may be wrong for another one to be suggested. Of a
// short name it is a third of the letters, since all short names are near to each other.
const maxTypos = 3

// variablesOf returns the variables that some command reads.
func variablesOf(model *kong.Application) (variables []string) {
	_ = kong.Visit(model, func(visited kong.Visitable, next kong.Next) error {
		if flag, ok := visited.(*kong.Flag); ok {
			variables = append(variables, flag.Envs...)
		}
		return next(nil)
	})
	slices.Sort(variables)
	return slices.Compact(variables)
}

// unknownVariables returns a warning for each LUMEN_ variable of the environment that nothing
// reads. The warnings never hold a value.
func unknownVariables(environment, read []string) (warnings []string) {
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		// Kubernetes sets LUMEN_..._PORT to a URL, too.
		isOfService := strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
		if !strings.HasPrefix(name, "LUMEN_") || value == "" || isOfService || foreignVariable.MatchString(name) ||
			slices.Contains(read, name) || slices.Contains(otherVariables, name) {
			continue
		}
		warning := fmt.Sprintf("the variable %s is unknown and ignored", name)
		nearest := slices.MinFunc(read, func(a, b string) int {
			return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
		})
		typos := min(maxTypos, len(strings.TrimPrefix(name, "LUMEN_"))/3)
		if levenshtein.ComputeDistance(name, nearest) <= typos {
			warning += "; did you mean " + nearest + "?"
		}
		warnings = append(warnings, warning)
	}
	slices.Sort(warnings)
	return warnings
}
