package config

// Config mirrors config.toml: kimi_cli/config.py (1.51.0), class Config. The
// zero value is kimi's default configuration.
//
// The same rule holds in all tables. A scalar whose default is Go's zero value has a plain type. A scalar with another
// default is a pointer, and nil means the default. For an enumeration, "" means the default. Fields that are nil, "",
// false, 0, or an empty list or map are not written, except the keys that Kimi Code requires.
type Config struct {
	DefaultModel            string              `json:"default_model,omitzero"`              // a name in Models; default "": none, needs --model or the environment
	DefaultThinking         bool                `json:"default_thinking,omitzero"`           // thinking mode; default false
	DefaultYolo             bool                `json:"default_yolo,omitzero"`               // approve every action without asking; default false
	SkipAFKPromptInjection  bool                `json:"skip_afk_prompt_injection,omitzero"`  // no system reminder in afk mode; default false
	DefaultPlanMode         bool                `json:"default_plan_mode,omitzero"`          // new sessions start in plan mode; default false
	DefaultEditor           string              `json:"default_editor,omitzero"`             // external editor command, e.g. "code --wait"; default "": from the environment
	Theme                   Theme               `json:"theme,omitzero"`                      // terminal colours; default "": dark
	ShowThinkingStream      *bool               `json:"show_thinking_stream,omitzero"`       // stream raw reasoning text in the terminal; default true
	Models                  map[string]Model    `json:"models,omitzero"`                     // by the name that DefaultModel and --model use
	Providers               map[string]Provider `json:"providers,omitzero"`                  // by the name that Model.Provider uses
	LoopControl             LoopControl         `json:"loop_control,omitzero"`               // limits of the agent loop
	Background              Background          `json:"background,omitzero"`                 // background tasks
	Notifications           Notifications       `json:"notifications,omitzero"`              // notifications
	Services                Services            `json:"services,omitzero"`                   // web search and fetch
	MCP                     MCP                 `json:"mcp,omitzero"`                        // the MCP client; the servers are in mcp.json, see MCPServer
	Hooks                   []Hook              `json:"hooks,omitzero"`                      // shell commands run at lifecycle events
	MergeAllAvailableSkills *bool               `json:"merge_all_available_skills,omitzero"` // use the skills of all brand folders, not only those of the first one; default true
	ExtraSkillDirs          []string            `json:"extra_skill_dirs,omitzero"`           // more skill folders: absolute, ~ or relative to the project root; missing ones are skipped
	Telemetry               *bool               `json:"telemetry,omitzero"`                  // anonymous telemetry; default true
	Extra                   Extra               `json:"-"`                                   // unknown keys
}

// Model is one [models.NAME] table.
type Model struct {
	Provider       string       `json:"provider" kimi:"required"`          // required: a name in Config.Providers
	Model          string       `json:"model" kimi:"required"`             // required: the model's name at the provider
	MaxContextSize int          `json:"max_context_size" kimi:"required"`  // required: context window in tokens; kimi sets no bounds
	Capabilities   []Capability `json:"capabilities,omitzero" kimi:"null"` // a set; default: only what kimi derives from the model's name
	DisplayName    string       `json:"display_name,omitzero" kimi:"null"` // for people; default "": the model's name
	Extra          Extra        `json:"-"`                                 // unknown keys
}

// Provider is one [providers.NAME] table.
type Provider struct {
	Type          ProviderType      `json:"type" kimi:"required"`                // required
	BaseURL       string            `json:"base_url" kimi:"required"`            // required in the file; may be "" if the environment sets it
	APIKey        Secret            `json:"api_key" kimi:"required"`             // required in the file; may be "" with OAuth or if the environment sets it
	Env           map[string]Secret `json:"env,omitzero" kimi:"null"`            // variables that kimi sets before it makes the provider; has an effect for vertexai and _scripted_echo only
	CustomHeaders map[string]Secret `json:"custom_headers,omitzero" kimi:"null"` // more HTTP headers; kimi 1.51.0 writes their values to its log in clear text
	ReasoningKey  *string           `json:"reasoning_key,omitzero" kimi:"null"`  // message field with the reasoning, for openai_legacy; default nil: reasoning_content; "" turns it off
	OAuth         *OAuthRef         `json:"oauth,omitzero" kimi:"null"`          // stored login; overrides APIKey while it holds a token; default nil
	Extra         Extra             `json:"-"`                                   // unknown keys
}

// OAuthRef names OAuth credentials that are stored outside the config file.
type OAuthRef struct {
	Storage OAuthStorage `json:"storage,omitzero"`    // default "": file
	Key     string       `json:"key" kimi:"required"` // required: the key in the storage
	Extra   Extra        `json:"-"`                   // unknown keys
}

// LoopControl is the [loop_control] table.
type LoopControl struct {
	MaxStepsPerTurn        *int     `json:"max_steps_per_turn,omitzero" kimi:"min=1,alias=max_steps_per_run"` // default 1000, at least 1; read from max_steps_per_run too
	MaxRetriesPerStep      *int     `json:"max_retries_per_step,omitzero" kimi:"min=1"`                       // attempts, not retries; default 3, at least 1
	MaxRalphIterations     int      `json:"max_ralph_iterations,omitzero" kimi:"min=-1"`                      // more rounds after the first turn; default 0; -1 means no limit
	ReservedContextSize    *int     `json:"reserved_context_size,omitzero" kimi:"min=1000"`                   // tokens kept free for the answer; default 50000, at least 1000
	CompactionTriggerRatio *float64 `json:"compaction_trigger_ratio,omitzero" kimi:"min=0.5,max=0.99"`        // context use that starts compaction; default 0.85, 0.5 to 0.99
	Extra                  Extra    `json:"-"`                                                                // unknown keys
}

// Background is the [background] table.
type Background struct {
	MaxRunningTasks           *int  `json:"max_running_tasks,omitzero" kimi:"min=1"`              // default 4, at least 1
	ReadMaxBytes              *int  `json:"read_max_bytes,omitzero" kimi:"min=1024"`              // default 30000, at least 1024
	NotificationTailLines     *int  `json:"notification_tail_lines,omitzero" kimi:"min=1"`        // default 20, at least 1
	NotificationTailChars     *int  `json:"notification_tail_chars,omitzero" kimi:"min=256"`      // default 3000, at least 256
	WaitPollIntervalMS        *int  `json:"wait_poll_interval_ms,omitzero" kimi:"min=50"`         // default 500, at least 50
	WorkerHeartbeatIntervalMS *int  `json:"worker_heartbeat_interval_ms,omitzero" kimi:"min=100"` // default 5000, at least 100
	WorkerStaleAfterMS        *int  `json:"worker_stale_after_ms,omitzero" kimi:"min=1000"`       // default 15000, at least 1000
	KillGracePeriodMS         *int  `json:"kill_grace_period_ms,omitzero" kimi:"min=100"`         // default 2000, at least 100
	KeepAliveOnExit           bool  `json:"keep_alive_on_exit,omitzero"`                          // tasks continue after kimi has ended; default false
	AgentTaskTimeoutS         *int  `json:"agent_task_timeout_s,omitzero" kimi:"min=60"`          // longest run of a background agent in seconds; default 900, at least 60
	PrintWaitCeilingS         *int  `json:"print_wait_ceiling_s,omitzero" kimi:"min=1"`           // longest wait of --print for tasks in seconds; default 3600, at least 1
	Extra                     Extra `json:"-"`                                                    // unknown keys
}

// Notifications is the [notifications] table.
type Notifications struct {
	ClaimStaleAfterMS *int  `json:"claim_stale_after_ms,omitzero" kimi:"min=1000"` // default 15000, at least 1000
	Extra             Extra `json:"-"`                                             // unknown keys
}

// Services is the [services] table.
type Services struct {
	MoonshotSearch *Service `json:"moonshot_search,omitzero" kimi:"null"` // web search; default nil: none
	MoonshotFetch  *Service `json:"moonshot_fetch,omitzero" kimi:"null"`  // web fetch; default nil: none
	Extra          Extra    `json:"-"`                                    // unknown keys
}

// Service is [services.moonshot_search] or [services.moonshot_fetch].
type Service struct {
	BaseURL       string            `json:"base_url" kimi:"required"`            // required
	APIKey        Secret            `json:"api_key" kimi:"required"`             // required in the file; may be "" with OAuth
	CustomHeaders map[string]Secret `json:"custom_headers,omitzero" kimi:"null"` // more HTTP headers
	OAuth         *OAuthRef         `json:"oauth,omitzero" kimi:"null"`          // stored login; default nil
	Extra         Extra             `json:"-"`                                   // unknown keys
}

// MCP is the [mcp] table.
type MCP struct {
	Client MCPClient `json:"client,omitzero"` // the [mcp.client] table
	Extra  Extra     `json:"-"`               // unknown keys
}

// MCPClient is the [mcp.client] table.
type MCPClient struct {
	ToolCallTimeoutMS *int  `json:"tool_call_timeout_ms,omitzero"` // default 60000; kimi sets no bounds
	Extra             Extra `json:"-"`                             // unknown keys
}

// Hook is one [[hooks]] table: kimi_cli/hooks/config.py (1.51.0).
type Hook struct {
	Event   HookEvent `json:"event" kimi:"required"`                 // required
	Command string    `json:"command" kimi:"required"`               // required: shell command, gets JSON on stdin; exit status 2 blocks
	Matcher string    `json:"matcher,omitzero"`                      // regular expression; default "": everything
	Timeout *int      `json:"timeout,omitzero" kimi:"min=1,max=600"` // seconds, then the hook is ignored; default 30, 1 to 600
	Extra   Extra     `json:"-"`                                     // unknown keys
}
