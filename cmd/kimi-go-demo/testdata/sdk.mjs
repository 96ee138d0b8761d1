// Runs turns with the official Node SDK for sdk_test.go: sdk.mjs SDK EXECUTABLE SESSION. Standard input is a JSON list of
// {prompt, act, steer}. For each turn, it prints a line of JSON.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [, , sdk, executable, sessionId] = process.argv
const { createSession } = await import(pathToFileURL(sdk))
const session = createSession({ workDir: process.cwd(), executable, sessionId })

for (const { prompt, act, steer } of JSON.parse(readFileSync(0, 'utf8'))) {
  const turn = session.prompt(prompt)
  const told = { types: [], text: '' }
  try {
    for await (const event of turn) {
      told.types.push(event.type)
      if (event.type === 'error') told.error = event.message
      if (event.type === 'ContentPart' && event.payload.type === 'text') {
        told.text += event.payload.text
        if (act === 'interrupt') await turn.interrupt()
      }
      if (event.type === 'ApprovalRequest') {
        if (steer) await turn.steer(steer)
        await turn.approve(event.payload.id, act)
      }
      if (event.type === 'SteerInput') told.steered = event.payload.user_input
      if (event.type === 'QuestionRequest') {
        await turn.respondQuestion(event.payload.id, event.payload.id, { [event.payload.questions[0].question]: act })
      }
    }
    told.status = (await turn.result).status
  } catch (err) {
    told.error = `${err.code}: ${err.message}`
  }
  console.log(JSON.stringify(told))
}
await session.close()
