module github.com/kimi-go/kimi-go

go 1.25

require (
	github.com/BurntSushi/toml v1.6.0
	github.com/alecthomas/kong v1.17.0
	github.com/creack/pty v1.1.24
	github.com/google/go-cmp v0.7.0
	github.com/google/jsonschema-go v0.4.3
	golang.org/x/term v0.40.0
)

require golang.org/x/sys v0.41.0 // indirect
