// Package api declares what this module uses of Kimi Code's server: the bodies of its REST
// routes and the events of its WebSocket. Members that are not used are not declared; events
// of other types decode to their type and raw payload.
//
// All facts are those of "kimi web" in Kimi Code 2.1.0: its /openapi.json and /asyncapi.json,
// and what the running server sends where they differ.
package api
