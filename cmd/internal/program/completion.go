package program

import (
	"fmt"
	"os"
	"strings"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// completing is the variable with the line to complete. When the user presses Tab, the shell runs
// the program with it.
const completing = "COMP_LINE"

// hooks make a shell run the program for completions, in the protocol of bash's "complete -C".
var hooks = map[string]string{
	"bash": "complete -o default -o bashdefault -C PROGRAM lumen",
	"zsh":  "autoload -U +X bashcompinit && bashcompinit\ncomplete -o default -C PROGRAM lumen",
	"fish": `function __lumen_complete
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct)
    and set COMP_LINE "$COMP_LINE "
    PROGRAM
end
complete -f -c lumen -a "(__lumen_complete)"`,
}

func (c completionCommand) Run(t terminal) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	quoted := "'" + strings.ReplaceAll(program, "'", `'\''`) + "'"
	if c.Shell != "fish" { // these shells evaluate it twice
		quoted = "'" + strings.ReplaceAll(quoted, "'", `'\''`) + "'"
	}
	_, err = fmt.Fprintln(t.out, strings.ReplaceAll(hooks[c.Shell], "PROGRAM", quoted))
	return err
}
