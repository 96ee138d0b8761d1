// Package slash checks the slash commands that a person types, before kimi gets them.
package slash

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

var name = regexp.MustCompile("^/[A-Za-z][A-Za-z0-9:_-]*$")

// Wrong says why kimi must not get what was typed. It is "" if kimi may get it.
func Wrong(s *client.Session, text string) string {
	switch word, arg := split(text); {
	case !name.MatchString(word) || len(s.Server().SlashCommands) == 0:
		return ""
	case !Known(s, word):
		return "there is no command " + word + ": /help lists the commands"
	case switches(word) && arg != "" && arg != "on" && arg != "off":
		return word + " takes on or off"
	}
	return ""
}

// Send returns the prompt for what was typed. The commands /yolo and /afk of kimi-cli switch their mode, whatever
// follows them. If the mode is as it was asked for, Send returns "", and why there is nothing to send.
func Send(s *client.Session, text string) (prompt, needless string) {
	word, arg := split(text)
	if !switches(word) || arg == "" || !Known(s, word) {
		return text, ""
	}
	switch on := "/"+Mode(s) == word; {
	case word == "/yolo" && Mode(s) == "afk": // yolo mode may be on as well
		return "", "first turn off afk mode: /afk off"
	case on == (arg == "on"):
		return "", word[1:] + " mode is " + arg + " already"
	}
	return word, ""
}

func split(text string) (word, arg string) {
	text = strings.TrimSpace(text)
	end := strings.IndexFunc(text, unicode.IsSpace) // as kimi-cli does
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimSpace(text[end:])
}

func switches(word string) bool { return word == "/yolo" || word == "/afk" }

// Waits reports whether what was typed is a command that can only run between turns. Kimi Code answers /btw at once.
func Waits(s *client.Session, text string) bool {
	word, _ := split(text)
	return Known(s, text) && (word != "/btw" || s.Server().Bridge == nil)
}

// Aside returns the question of /btw, or "".
func Aside(text string) string {
	if word, question := split(text); word == "/btw" {
		return question
	}
	return ""
}

// Known reports whether what was typed is a command of kimi, or its alias.
func Known(s *client.Session, text string) bool {
	word, _ := split(text)
	return slices.ContainsFunc(s.Server().SlashCommands, func(c wireproto.SlashCommand) bool {
		return "/"+c.Name == word || strings.HasPrefix(word, "/") && slices.Contains(c.Aliases, word[1:])
	})
}

// Mode names the mode in which the agent asks nothing, "yolo" or "afk". It is "" if the agent asks.
func Mode(s *client.Session) string {
	switch s.Status().Approvals.All {
	case "":
		return ""
	case "Options.AFK", "/afk":
		return "afk"
	}
	return "yolo"
}
