module github.com/kimi-go/kimi-go

go 1.26.0

require (
	github.com/BurntSushi/toml v1.6.0 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/jsonschema-go v0.4.3 // indirect
	golang.org/x/sync v0.24.0 // indirect
)
