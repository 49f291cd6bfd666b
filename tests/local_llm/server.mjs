// Chat completions of a GGUF model by node-llama-cpp, one request at a time, in one thread; for test_local_llm.py.
//
//     node server.mjs FOLDER
//
// FOLDER holds node_modules/node-llama-cpp and one *.gguf. Prints its port when it is ready. Knows
// response_format=json_schema, which becomes a grammar of llama.cpp; any other shape is answered 400.
import {createServer} from "node:http";
import {readdirSync} from "node:fs";
import {join, resolve} from "node:path";
import {pathToFileURL} from "node:url";

const folder = resolve(process.argv[2]);
const entry = join(folder, "node_modules", "node-llama-cpp", "dist", "index.js");
const {getLlama, LlamaChatSession} = await import(pathToFileURL(entry));

const file = readdirSync(folder).filter((name) => name.endsWith(".gguf")).sort()[0];
const llama = await getLlama({build: "never", gpu: false, maxThreads: 1, logLevel: "error"});
const model = await llama.loadModel({modelPath: join(folder, file), gpuLayers: 0});
const context = await model.createContext({contextSize: 8192, threads: 1});
const sequence = context.getSequence();
let asked = 0;

async function complete(body) {
    const format = body.response_format;
    if (format?.type !== "json_schema")
        return [400, {error: {message: "response_format must be json_schema", type: "invalid_request_error"}}];
    const system = body.messages.filter((m) => m.role === "system").map((m) => m.content).join("\n\n");
    const user = body.messages.filter((m) => m.role !== "system").map((m) => m.content).join("\n\n");
    const grammar = await llama.createGrammarForJsonSchema(format.json_schema.schema);
    await sequence.clearHistory();
    const session = new LlamaChatSession({contextSequence: sequence, systemPrompt: system, autoDisposeSequence: false});
    const before = sequence.tokenMeter.getState();
    const answer = await session.promptWithMeta(user, {
        // Without the penalty so small a model repeats itself until max_tokens is reached.
        grammar, maxTokens: body.max_tokens ?? 512, temperature: body.temperature ?? 0.7, seed: body.seed ?? ++asked,
        repeatPenalty: {lastTokens: 256, penalty: 1.15}
    });
    const used = sequence.tokenMeter.diff(before);
    session.dispose();
    return [200, {
        id: "chatcmpl-local",
        object: "chat.completion",
        created: 0,
        model: body.model,
        choices: [{
            index: 0,
            message: {role: "assistant", content: answer.responseText, refusal: null},
            finish_reason: answer.stopReason === "maxTokens" ? "length" : "stop"
        }],
        usage: {
            prompt_tokens: used.usedInputTokens,
            completion_tokens: used.usedOutputTokens,
            total_tokens: used.usedInputTokens + used.usedOutputTokens
        }
    }];
}

let turn = Promise.resolve();
const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    turn = turn.then(() => complete(JSON.parse(text))).catch((error) => [500, {error: {message: String(error)}}]);
    const [status, body] = await turn;
    response.writeHead(status, {"content-type": "application/json"}).end(JSON.stringify(body));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
