package rules

import "strings"

// hazard lists the options of a program that run a program or write a file.
type hazard struct {
	short string // letters; they count anywhere in a word that begins with a single "-"
	long  string // words after "--"; the beginnings of these words count, too
	exact string // whole words after "-" or "--", like the flags of Go programs and the expressions of find
	first bool   // the first operand may run programs
	pairs bool   // operands such as X=Y change which programs run
	most  int    // operands after this number are files to write; 0 means that none is
}

// hazards are the words that a last "*" does not match, by the program and by its first word. The options count only if
// the rule has no Options. The list is not complete: it has the known hazards of programs that people consider
// harmless.
var hazards = map[string]hazard{
	"git": {short: "cCoOx", long: "output open-files-in-pager ext-diff textconv exec exec-path upload-pack receive-pack config config-env git-dir " +
		"work-tree template separate-git-dir gpg-sign sign output-directory interactive edit"},
	"git clone": {short: "u"}, "git fetch": {short: "u"}, "git ls-remote": {short: "u"}, "git rebase": {short: "i"}, "git archive": {long: "remote"},
	"go": {exact: "exec toolexec vettool o C modfile overlay pkgdir ldflags gcflags asmflags gccgoflags outputdir coverprofile cpuprofile memprofile " +
		"blockprofile mutexprofile trace args fix fixtool w c"},
	"gofmt": {exact: "w cpuprofile"}, "goimports": {exact: "w cpuprofile memprofile trace"},
	"find": {exact: "exec execdir ok okdir delete fls fprint fprint0 fprintf"},
	"fd":   {short: "xX", long: "exec exec-batch"}, "fdfind": {short: "xX", long: "exec exec-batch"},
	"sort": {short: "oT", long: "output compress-program temporary-directory"},
	"shuf": {short: "o", long: "output"}, "uniq": {most: 1}, "xxd": {most: 1, short: "r"}, "tree": {short: "oR", long: "output"},
	"rg": {long: "pre hostname-bin search-zip", short: "z"}, "ag": {long: "pager"}, "ack": {long: "pager output"},
	"sed":  {short: "efiEs", long: "expression file in-place", first: true},
	"awk":  {short: "fieEloFpdDLW", long: "file include exec load source dump-variables debug pretty-print profile lint", first: true},
	"gawk": {short: "fieEloFpdDLW", long: "file include exec load source dump-variables debug pretty-print profile lint", first: true}, "mawk": {short: "fieEloFpdDLW", long: "file include exec load source dump-variables debug pretty-print profile lint", first: true}, "nawk": {short: "fieEloFpdDLW", long: "file include exec load source dump-variables debug pretty-print profile lint", first: true},
	"yq": {short: "is", long: "inplace split-exp"}, "file": {short: "Cm", long: "compile magic-file"}, "date": {short: "s", long: "set"},
	"tar":   {first: true, short: "IFfxc", long: "to-command use-compress-program checkpoint-action info-script new-volume-script rsh-command rmt-command index-file file"},
	"curl":  {short: "oODcKJT", long: "output output-dir remote-name remote-name-all remote-header-name cookie-jar dump-header config trace trace-ascii stderr libcurl etag-save hsts alt-svc upload-file engine"},
	"make":  {short: "fCIE", long: "file makefile directory include-dir eval", pairs: true},
	"cargo": {short: "CZ", long: "config manifest-path target-dir"}, "npm": {short: "C", long: "script-shell prefix node-options userconfig globalconfig shell"},
	"pytest": {short: "pcoW", long: "plugin config-file rootdir override-ini basetemp junit-xml junitxml log-file confcutdir pdbcls"},
	"printf": {short: "v"}, "test": {exact: "v R"}, "[": {exact: "v R"},
	"less": {first: true}, "more": {first: true}, "man": {first: true, short: "PHC", long: "pager html config-file"},
	"vi": {first: true}, "vim": {first: true}, "ed": {first: true}, "ex": {first: true},
}

// hazardous reports whether one of the words that a last "*" stands for is a hazard of a program in the pattern. If
// options is not "", they are the only options that are not hazards.
func hazardous(patterns []string, options string, rest []word) bool {
	for _, w := range rest {
		if options != "" && w.isOption() && !anyGlob(options, w.text) {
			return true
		}
	}
	keys := []string{programName(patterns[0])}
	if len(patterns) > 1 {
		keys = append(keys, keys[0]+" "+patterns[1])
	}
	for _, key := range keys {
		h, known := hazards[key]
		if !known {
			continue
		}
		operands := len(patterns) - 1
		for _, w := range rest {
			switch {
			case w.isOption():
				if options == "" && h.option(w.text) {
					return true
				}
			case h.pairs && strings.Contains(w.text, "="):
				return true
			default:
				operands++
			}
		}
		if h.most > 0 && operands > h.most {
			return true
		}
	}
	return false
}

// option reports whether a word is an option that h lists.
func (h hazard) option(text string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(text, "-+"), "=")
	if name == "" { // "-", "--"
		return false
	}
	for exact := range strings.FieldsSeq(h.exact) {
		if strings.TrimPrefix(name, "test.") == exact {
			return true
		}
	}
	if !strings.HasPrefix(text, "--") {
		return text[0] == '-' && strings.ContainsAny(text[1:], h.short)
	}
	for long := range strings.FieldsSeq(h.long) {
		if strings.HasPrefix(long, name) {
			return true
		}
	}
	return false
}
