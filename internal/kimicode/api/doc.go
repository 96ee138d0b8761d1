// Package api declares the parts of Kimi Code's server that this module uses: the bodies of its REST routes and the
// events of its WebSocket. It declares only the members that are used. An event of another type decodes to its type and
// its raw payload. The package follows "kimi web" of Kimi Code 2.1.0: its /openapi.json and /asyncapi.json and, where
// they differ from it, what the running server sends.
package api
