package bridge

import (
	"context"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
)

// StartWatched is like [Start]. watch gets every input of the translator.
func StartWatched(ctx context.Context, cmd *Command, spawn Spawn, watch func(translator.Settings, translator.Input, time.Time)) (*Conn, error) {
	set, err := parse(cmd)
	if err != nil {
		return nil, err
	}
	return start(ctx, cmd, ownServer{spawn, ServeTools}, func(in translator.Input, now time.Time) { watch(set.Settings, in, now) })
}
