package client

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A backend is a kind of kimi. All differences between the kinds are in its methods. A launch uses the backend that the
// files of the program show. After the handshake it uses the backend that has answered.
type backend interface {
	kind() Backend
	// tested is the newest version that this package is tested with.
	tested() string

	// owns reports whether a program is of this kind. path is its resolved path, with slashes, and head its first
	// bytes.
	owns(path string, head []byte) bool
	// probe asks the program what it is. An [*IncompatibleError] says that the program has not answered, or that it
	// has neither a Wire mode nor a server.
	probe(ctx context.Context, l *launch) (*Info, error)

	// home is the folder with the configuration, the logins and the sessions.
	home(l *launch) string
	// folders are the folders that the program writes to. home is the first.
	folders(l *launch) []string
	// model is the name of the model, if it is known without asking the program.
	model(l *launch) string
	// flags are the arguments that only this kind takes. If the kind cannot do what an option says, it returns an
	// error.
	flags(o *Options) ([]string, error)

	// newID returns the id of a new session, "" if the program makes it.
	newID() string
	// start starts the program with the session. An [*otherError] says that the program is of the other kind.
	start(ctx context.Context, l *launch, p *processTransport, id string) (*Session, error)
	// adopt stores what the program has said about its session in the handshake, and locks the session's files.
	adopt(s *Session) error
	// discard removes a session that the start has made, if it is certain that the session had no turn. It is called
	// when the program was killed: a program that ends by itself removes such a session.
	discard(s *Session)
	// explain says why the program refused to start, or why it ended before it answered.
	explain(ctx context.Context, l *launch, f *failure) error

	// sessions lists the sessions, in any order.
	sessions(l *launch, which listing) ([]SessionInfo, error)
	// finds reports whether the program will find a session of the work dir. If the session's files exist but the
	// program will not find them, finds returns an error.
	finds(l *launch, id string) (bool, error)
	// stored opens the files of a session of the work dir. It returns nil if there is no such session.
	stored(l *launch, id string) (storedSession, error)

	// terminal returns the arguments with which the program shows its own user interface for a session, or for a new
	// session if id is "". terminalEnv returns the environment for it. If the program cannot do what an option says,
	// both return an error.
	terminal(l *launch, id string) ([]string, error)
	terminalEnv(l *launch) []string

	// words returns the prompt in a form that the program reads as text, and whether words had to change it.
	words(c wireproto.Content) (wireproto.Content, bool)
	// models lists the models that a session can use, in any order.
	models(ctx context.Context, s *Session) ([]Model, error)
	// setModel changes the model of a session in which no turn runs, and then calls done, once.
	setModel(s *Session, name string, done func(error))
	// mayResume refuses to continue a session in which more would run unasked than the options allow. For kimi-cli, it
	// returns what will run unasked. Kimi Code follows the options, so it returns nothing.
	mayResume(l *launch, id string) (Approvals, error)
	// commanded returns which actions run without a question after a turn with one of kimi's commands, such as /yolo.
	commanded(s *Session, command string, ran bool, before Approvals) Approvals
	// holdAgain locks the session's files again for a process that continues the session.
	holdAgain(s *Session) error
	// wholeCalls reports whether the program sends each tool call complete before a request about it. It then sends
	// the call a second time to complete it.
	wholeCalls() bool
	// ownTurns reports whether the program begins turns by itself, each with a TurnBegin. A prompt that waits for such
	// a turn has its own TurnBegin after it.
	ownTurns() bool
	// endsSteps reports whether the program sends the tokens of a step after the results of its calls. They then show
	// the end of the step.
	endsSteps() bool
	// subagentModels reports whether a subagent may have another model than the session.
	subagentModels() bool
	// keepsActions reports whether the program stops asking about an action that was approved for the session, whatever
	// the arguments of the action are.
	keepsActions() bool
}

// backends are all kinds. If nothing shows the kind of a program, it is started as the first kind. A program of the
// other kind refuses the arguments at once.
var backends = []backend{kimiCLI{}, kimiCode{}}

// answering returns the back end that has answered the handshake.
func (l *launch) answering(server *wireproto.InitializeResult) backend {
	if l.opts.Server != nil {
		return elsewhere{}
	}
	if server.Bridge != nil {
		return kimiCode{}
	}
	return kimiCLI{}
}

// recognise returns the back ends that may drive a program: one if the program's files show it, otherwise all.
func recognise(path string) []backend {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return backends
	}
	var head [1024]byte
	n := 0
	if f, err := regular.Open(real); err == nil {
		n, _ = io.ReadFull(f, head[:])
		f.Close()
	}
	for _, b := range backends {
		if b.owns(filepath.ToSlash(real), head[:n]) {
			return []backend{b}
		}
	}
	return backends
}

// candidates returns the back ends that may drive the kimi that would run. There is always at least one.
func (l *launch) candidates() []backend {
	if l.opts.Server != nil {
		return []backend{elsewhere{}}
	}
	switch l.opts.Transport.(type) {
	case nil:
	case *bridgeTransport:
		return []backend{kimiCode{}}
	default:
		return []backend{kimiCLI{}}
	}
	program, err := l.find()
	if err != nil {
		return backends
	}
	return recognise(program.path)
}

// start runs the program and makes the handshake. id is the id of the session, "" for a new session.
func (l *launch) start(ctx context.Context, id string) (*Session, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if t := l.opts.Transport; t != nil {
		l.path, l.backend = l.opts.Executable, l.candidates()[0]
		if id == "" {
			id = l.backend.newID()
		}
		return l.connect(ctx, t, id, l.opts.byOptions())
	}
	if l.opts.Server != nil {
		return l.startAs(ctx, nil, id)
	}
	program, err := l.find()
	if err != nil {
		return nil, err
	}
	l.use(program)
	process := &processTransport{modify: l.opts.ModifyCmd, stderr: l.opts.Stderr}
	l.backend = recognise(program.path)[0]
	s, err := l.startAs(ctx, process, id)
	var other *otherError
	if errors.As(err, &other) {
		l.backend = other.is
		s, err = l.startAs(ctx, process, id)
	}
	return s, err
}

func (l *launch) startAs(ctx context.Context, process *processTransport, id string) (*Session, error) {
	if l.made = id == ""; l.made {
		id = l.backend.newID()
	}
	return l.backend.start(ctx, l, process, id)
}

// otherError says that a program was started as one kind but is of another kind. It holds the right one.
type otherError struct{ is backend }

func (e *otherError) Error() string { return "client: this kimi is driven by " + string(e.is.kind()) }
