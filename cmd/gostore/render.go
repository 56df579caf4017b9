package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
)

func (a *app) renderCommand() *cobra.Command {
	var asJSON, allowMissing bool
	command := &cobra.Command{
		Use:   "render --db PATH [--json] [--allow-missing] (TEMPLATE | @FILE | @-) GROUP",
		Short: "Print a template filled in with a group's values",
		Long: `Executes a template of Go's text/template with the group's keys as fields, so
that {{ .theme }} is the value of the key theme and {{ index . "a key" }} that of
any other, and prints the result as it is, without a line end of its own.

A key that is not in the group, or has expired, is a failure, and nothing is
printed. With --allow-missing text/template does as it does by itself: {{ .theme }}
is <no value> then, and {{ index . "theme" }} empty; {{ with .theme }}, {{ if .theme }}
and {{ or .theme "dark" }} tell them apart.

The template is the argument itself, or is read from a file after an @, or from
standard input with @-.

With --json one object is printed; its member is text.`,
		Example: `  gostore render --db app.db '{{ range $key, $value := . }}{{ $key }}={{ $value }}
  {{ end }}' config
  gostore render --db app.db @nginx.conf.tmpl site`,
		Args: exactly("TEMPLATE", "GROUP"),
		RunE: func(command *cobra.Command, arguments []string) error {
			template, err := a.template(arguments[0])
			if err != nil {
				return err
			}
			return a.reader(command, func(store *api.Store) error {
				render := (*api.Store).RenderStrict
				if allowMissing {
					render = (*api.Store).Render
				}
				text, err := render(store.WithContext(a.ctx), template, arguments[1])
				if err != nil && !allowMissing && strings.Contains(err.Error(), ": execute template: ") {
					return fmt.Errorf("%w; --allow-missing renders without keys that aren't there", err)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.stdout, dump.AppendText(nil, "text", text))
				}
				_, err = io.WriteString(a.stdout, text)
				return err
			})
		},
	}
	command.Flags().BoolVar(&allowMissing, "allow-missing", false, "render without the keys that aren't there")
	jsonFlag(command, &asJSON, "one JSON object")
	return command
}

// template is the text that an argument names.
func (a *app) template(argument string) (string, error) {
	name, named := strings.CutPrefix(argument, "@")
	if !named {
		return argument, nil
	}
	read := func() ([]byte, error) { return os.ReadFile(name) }
	if name == "-" {
		read = func() ([]byte, error) { return io.ReadAll(a.stdin) }
	}
	text, err := read()
	return string(text), err
}
