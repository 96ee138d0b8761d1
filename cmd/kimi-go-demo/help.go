package main

import (
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// help writes the help. The help of the program fits on one screen; the help of a command is kong's own.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() != nil {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	return overview(ctx.Stdout, ctx.Model)
}

// overview writes the help of the program.
func overview(w io.Writer, model *kong.Application) error {
	fmt.Fprintf(w, "Usage: %s <command> [flags]\n\n", program)
	for _, command := range model.Children {
		fmt.Fprintf(w, "  %-11s %s\n", command.Name, command.Help)
	}
	_, err := fmt.Fprint(w, "\n  --version   Print the versions of the command and of the Wire protocol.\n\n"+description+"\n")
	return err
}
