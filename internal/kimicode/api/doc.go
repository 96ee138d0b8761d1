// Package api declares what this module uses of Kimi Code's server: the bodies of its REST routes and the events of
// its WebSocket. Members that are not used are not declared. Events of other types decode to their type and raw
// payload. It follows "kimi web" of Kimi Code 2.1.0: its /openapi.json and /asyncapi.json and, where they differ, what
// the running server sends.
package api
