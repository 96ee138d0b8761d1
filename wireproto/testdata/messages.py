"""Writes messages.jsonl: every Wire message in the JSON of kimi-cli's own classes.

    python messages.py > messages.jsonl        # with the Python of kimi-cli 1.51.0

A type with optional members comes twice: with none of them set (null or default), and
with all of them set.
"""

import sys

from kimi_cli.tools.display import (
    BackgroundTaskDisplayBlock,
    DiffDisplayBlock,
    ShellDisplayBlock,
    TodoDisplayBlock,
    TodoDisplayItem,
)
from kimi_cli.wire import types as w
from kosong.chat_provider import TokenUsage
from kosong.message import (
    AudioURLPart,
    ImageURLPart,
    TextPart,
    ThinkPart,
    ToolCall,
    ToolCallPart,
    VideoURLPart,
)
from kosong.tooling import (
    BriefDisplayBlock,
    ToolError,
    ToolOk,
    ToolResult,
    ToolReturnValue,
    UnknownDisplayBlock,
)

PARTS = [
    TextPart(text="Line one\nсвета 月\u2028<&>\x00\r\x7f \"q\" \\u0041"),
    ThinkPart(think="hm"),
    ThinkPart(think="hm", encrypted="c2ln"),
    ImageURLPart(image_url=ImageURLPart.ImageURL(url="data:image/png;base64,AA==")),
    ImageURLPart(image_url=ImageURLPart.ImageURL(url="https://example.com/i.png", id="i1")),
    AudioURLPart(audio_url=AudioURLPart.AudioURL(url="https://example.com/a.aac")),
    AudioURLPart(audio_url=AudioURLPart.AudioURL(url="https://example.com/a.aac", id="a1")),
    VideoURLPart(video_url=VideoURLPart.VideoURL(url="https://example.com/v.mp4")),
    VideoURLPart(video_url=VideoURLPart.VideoURL(url="https://example.com/v.mp4", id="v1")),
]
BLOCKS = [
    BriefDisplayBlock(text="Started"),
    DiffDisplayBlock(path="/w/a.go", old_text="a", new_text="b"),
    DiffDisplayBlock(
        path="/w/a.go", old_text="(2 lines)", new_text="(9 lines)", old_start=7, new_start=8, is_summary=True
    ),
    TodoDisplayBlock(items=[]),
    TodoDisplayBlock(
        items=[TodoDisplayItem(title=s, status=s) for s in ("pending", "in_progress", "done")]
    ),
    ShellDisplayBlock(language="bash", command="echo 1 && echo 2"),
    BackgroundTaskDisplayBlock(task_id="bash-1", kind="bash", status="starting", description="bg"),
    UnknownDisplayBlock(type="mything", data={"foo": [1, None, 2.5, {"bar": False}]}),
]
EXTRAS = {"google": {"signature": "c2ln", "n": 1}, "none": None, "list": [True, 1.5, "x"]}

MESSAGES = [
    w.TurnBegin(user_input="hi"),
    w.TurnBegin(user_input=[]),
    w.TurnBegin(user_input=PARTS),
    w.SteerInput(user_input="wait"),
    w.SteerInput(user_input=PARTS[:1]),
    w.TurnEnd(),
    w.StepBegin(n=3),
    w.StepInterrupted(),
    w.StepRetry(n=1, next_attempt=2, max_attempts=3, wait_s=0.350625, error_type="APITimeoutError"),
    w.StepRetry(
        n=1, next_attempt=3, max_attempts=3, wait_s=1, error_type="APIStatusError", status_code=429
    ),
    w.HookTriggered(event="Stop"),
    w.HookTriggered(event="PreToolUse", target="Shell", hook_count=0),
    w.HookResolved(event="Stop"),
    w.HookResolved(
        event="PreToolUse", target="Shell", action="block", reason="no", duration_ms=1234
    ),
    w.CompactionBegin(),
    w.CompactionEnd(),
    w.MCPLoadingBegin(),
    w.MCPLoadingEnd(),
    w.StatusUpdate(),
    w.StatusUpdate(plan_mode=False),
    w.StatusUpdate(
        context_usage=0.0, context_tokens=0, token_usage=TokenUsage(input_other=0, output=0)
    ),
    w.StatusUpdate(
        context_usage=0.00013,
        context_tokens=13,
        max_context_tokens=262144,
        token_usage=TokenUsage(input_other=10, output=2, input_cache_read=3, input_cache_creation=4),
        message_id="chatcmpl-1",
        plan_mode=True,
        mcp_status=w.MCPStatusSnapshot(
            loading=True,
            connected=1,
            total=2,
            tools=3,
            servers=(
                w.MCPServerSnapshot(name="a", status="connected", tools=("x", "y", "z")),
                w.MCPServerSnapshot(name="b", status="unauthorized"),
            ),
        ),
    ),
    w.StatusUpdate(
        mcp_status=w.MCPStatusSnapshot(loading=False, connected=0, total=0, tools=0)
    ),
    w.Notification(
        id="n1",
        category="task",
        type="task.completed",
        source_kind="background_task",
        source_id="bash-1",
        title="t",
        body="b",
        severity="success",
        created_at=1795499264.2103431,
    ),
    w.Notification(
        id="n2",
        category="task",
        type="task.failed",
        source_kind="background_task",
        source_id="bash-2",
        title="t",
        body="b",
        severity="error",
        created_at=1795499264,
        payload={"exit_code": 1, "interrupted": False, "ratio": 1e-7, "why": None, "x": [{}]},
    ),
    *PARTS,
    ToolCall(id="t1", function=ToolCall.FunctionBody(name="Shell", arguments=None)),
    ToolCall(id="t1", function=ToolCall.FunctionBody(name="Shell", arguments='{"command"'), extras=EXTRAS),
    ToolCallPart(),
    ToolCallPart(arguments_part=': "echo \\"1\\"\n\U0001f600"}'),
    ToolResult(tool_call_id="t1", return_value=ToolOk(output="")),
    ToolResult(tool_call_id="t1", return_value=ToolError(message="m", brief="b", output="o")),
    ToolResult(
        tool_call_id="t1",
        return_value=ToolReturnValue(
            is_error=False, output=PARTS, message="m", display=BLOCKS, extras=EXTRAS
        ),
    ),
    w.ApprovalResponse(request_id="r1", response="approve"),
    w.ApprovalResponse(request_id="r1", response="approve_for_session"),
    w.ApprovalResponse(request_id="r1", response="reject", feedback="use ls"),
    w.SubagentEvent(event=w.TurnEnd()),
    w.SubagentEvent(
        parent_tool_call_id="ag1",
        agent_id="af04d2f31",
        subagent_type="coder",
        event=ToolResult(tool_call_id="t2", return_value=ToolOk(output=PARTS, brief="b")),
    ),
    w.SubagentEvent(parent_tool_call_id="ag1", event=w.SubagentEvent(event=PARTS[0])),
    w.PlanDisplay(content="# Plan\n", file_path="/w/plan.md"),
    w.BtwBegin(id="b1", question="why?"),
    w.BtwEnd(id="b1"),
    w.BtwEnd(id="b1", response="so", error=""),
    w.ApprovalRequest(
        id="r1", tool_call_id="t1", sender="Shell", action="run command", description="Run `ls`"
    ),
    w.ApprovalRequest(
        id="r2",
        tool_call_id="t2",
        sender="Shell",
        action="run command",
        description="Run `ls`",
        source_kind="background_agent",
        source_id="s1",
        agent_id="a1",
        subagent_type="coder",
        source_description="d",
        display=BLOCKS,
    ),
    w.QuestionRequest(id="q1", tool_call_id="t1", questions=[]),
    w.QuestionRequest(
        id="q2",
        tool_call_id="t1",
        questions=[
            w.QuestionItem(question="Which?", options=[]),
            w.QuestionItem(
                question="Which?",
                header="h",
                options=[
                    w.QuestionOption(label="a"),
                    w.QuestionOption(label="b", description="d"),
                ],
                multi_select=True,
                body="# Body",
                other_label="ol",
                other_description="od",
            ),
        ],
    ),
    w.ToolCallRequest(id="e1", name="ext", arguments=None),
    w.ToolCallRequest(id="e1", name="ext", arguments='{"a": "1"}'),
    w.HookRequest(id="94e036e36f59", event="Stop"),
    w.HookRequest(
        id="94e036e36f59",
        subscription_id="pre",
        event="PreToolUse",
        target="Shell",
        input_data={"tool_input": {"command": "ls"}, "tool_call_id": None, "n": 1.5},
    ),
]

written = set()
for message in MESSAGES:
    envelope = w.WireMessageEnvelope.from_wire_message(message)
    written.add(envelope.type)
    sys.stdout.buffer.write(envelope.model_dump_json().encode() + b"\n")

missing = set(w._NAME_TO_WIRE_MESSAGE_TYPE) - written - {"ApprovalRequestResolved"}
assert not missing, missing
