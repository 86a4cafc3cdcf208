// The official SDKs, each behind the same few verbs: ask, and reply to calls. A conversation is held in the SDK's
// own types, and what the SDK returned is what the next request contains. Forgetful clients send back only what
// every dialect has, the text and the calls.
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { ApiError, GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { gateway } from './harness.mjs';
import { freshKey } from './played.mjs';

const City = z.object({ city: z.string(), country: z.string() });
const instructions = 'Be brief.';

// The tools of the recordings: their names, and the one argument of each.
const argument = { secret_retrieval_tool: 'password', get_weather: 'city' };
export const parameters = (tool) => ({
  type: 'object',
  properties: { [argument[tool]]: { type: 'string' } },
  required: [argument[tool]],
  additionalProperties: false,
});
const pieces = (text) => (text ? [text] : []);
const dataUrl = ({ mime, data }) => `data:${mime};base64,${data}`;

class Conversation {
  heard = [];

  constructor(model, { tools = [], thinks = false, object = false, streamed = false, forgetful = false } = {}) {
    Object.assign(this, { model, tools, thinks, object, streamed, forgetful, said: [] });
  }
}

const openai = () => new OpenAI({ baseURL: `${gateway}/v1`, apiKey: freshKey(), maxRetries: 0, timeout: 20_000 });
const openaiFailures = {
  400: OpenAI.BadRequestError,
  401: OpenAI.AuthenticationError,
  404: OpenAI.NotFoundError,
  429: OpenAI.RateLimitError,
  500: OpenAI.InternalServerError,
};

class Chat extends Conversation {
  static failures = openaiFailures;
  static broken = OpenAI.APIError;
  client = openai();

  ask(text, media) {
    const part = media?.mime.startsWith('image/')
      ? { type: 'image_url', image_url: { url: dataUrl(media) } }
      : { type: 'file', file: { filename: 'a.pdf', file_data: media && dataUrl(media) } };
    this.said.push({ role: 'user', content: media ? [{ type: 'text', text }, part] : text });
    return this.turn();
  }

  reply(...results) {
    const calls = this.last.tool_calls;
    this.said.push(...calls.map((call, at) => ({ role: 'tool', tool_call_id: call.id, content: results[at] })));
    return this.turn();
  }

  async turn() {
    const asked = {
      model: this.model,
      messages: [{ role: 'system', content: instructions }, ...this.said],
      ...(this.tools.length && { tools: this.tools.map((name) => this.tool(name)) }),
      ...(this.thinks && { reasoning_effort: 'medium' }),
      ...(this.object && { response_format: zodResponseFormat(City, 'city') }),
    };
    const { completions } = this.client.chat;
    let final;
    let thoughts = '';
    if (this.streamed) {
      const stream = completions.stream({ ...asked, stream_options: { include_usage: true } });
      stream.on('content', (piece) => this.heard.push(piece));
      // The SDK puts deltas together only of what it has a name for.
      stream.on('chunk', ({ choices }) => (thoughts += choices[0]?.delta.reasoning_content ?? ''));
      final = await stream.finalChatCompletion();
    } else {
      final = await (this.object ? completions.parse(asked) : completions.create(asked));
    }
    const [{ message, finish_reason: finish }] = final.choices;
    const { content, tool_calls } = message;
    this.last = message;
    this.said.push(this.forgetful ? { role: 'assistant', content, tool_calls } : message);
    const calls = (tool_calls ?? []).map(({ function: call }) => [call.name, JSON.parse(call.arguments)]);
    const tokens = [final.usage.prompt_tokens, final.usage.completion_tokens];
    if (!this.streamed) thoughts = message.reasoning_content ?? '';
    return { text: content ?? '', calls, finish, tokens, thoughts, parsed: message.parsed };
  }

  tool(name) {
    return { type: 'function', function: { name, parameters: parameters(name), strict: true } };
  }
}

class Responses extends Conversation {
  static failures = openaiFailures;
  static broken = OpenAI.APIError;
  client = openai();

  ask(text, media) {
    const part = media?.mime.startsWith('image/')
      ? { type: 'input_image', image_url: dataUrl(media), detail: 'auto' }
      : { type: 'input_file', filename: 'a.pdf', file_data: media && dataUrl(media) };
    this.said.push({ role: 'user', content: media ? [{ type: 'input_text', text }, part] : text });
    return this.turn();
  }

  reply(...results) {
    const calls = this.last.filter((item) => item.type === 'function_call');
    const outputs = calls.map(({ call_id }, at) => ({ type: 'function_call_output', call_id, output: results[at] }));
    this.said.push(...outputs);
    return this.turn();
  }

  async turn() {
    const asked = {
      model: this.model,
      input: this.said,
      instructions,
      store: false,
      ...(this.tools.length && { tools: this.tools.map((name) => this.tool(name)) }),
      ...(this.thinks && {
        reasoning: { effort: 'medium', summary: 'auto' },
        include: ['reasoning.encrypted_content'],
      }),
      ...(this.object && { text: { format: zodTextFormat(City, 'city') } }),
    };
    let final;
    if (this.streamed) {
      const stream = this.client.responses.stream(asked);
      stream.on('response.output_text.delta', ({ delta }) => this.heard.push(delta));
      final = await stream.finalResponse();
    } else {
      final = await (this.object ? this.client.responses.parse(asked) : this.client.responses.create(asked));
    }
    this.last = final.output;
    this.said.push(...final.output.filter((item) => !(this.forgetful && item.type === 'reasoning')));
    const calls = final.output.filter((item) => item.type === 'function_call');
    const reasoning = final.output.filter((item) => item.type === 'reasoning');
    return {
      text: final.output_text,
      calls: calls.map((call) => [call.name, JSON.parse(call.arguments)]),
      finish: final.status,
      tokens: [final.usage.input_tokens, final.usage.output_tokens],
      thoughts: reasoning
        .flatMap(({ summary, content }) => [...summary, ...(content ?? [])])
        .map((part) => part.text)
        .join(''),
      parsed: final.output_parsed,
    };
  }

  tool(name) {
    return { type: 'function', name, parameters: parameters(name), strict: true };
  }
}

class Messages extends Conversation {
  static failures = {
    400: Anthropic.BadRequestError,
    401: Anthropic.AuthenticationError,
    404: Anthropic.NotFoundError,
    429: Anthropic.RateLimitError,
    500: Anthropic.InternalServerError,
  };
  static broken = Anthropic.APIError;
  client = new Anthropic({ baseURL: gateway, apiKey: freshKey(), maxRetries: 0, timeout: 20_000 });

  ask(text, media) {
    const type = media?.mime.startsWith('image/') ? 'image' : 'document';
    const block = media && { type, source: { type: 'base64', media_type: media.mime, data: media.data } };
    this.said.push({ role: 'user', content: media ? [block, { type: 'text', text }] : text });
    return this.turn();
  }

  reply(...results) {
    const calls = this.last.filter((block) => block.type === 'tool_use');
    const blocks = calls.map(({ id }, at) => ({ type: 'tool_result', tool_use_id: id, content: results[at] }));
    this.said.push({ role: 'user', content: blocks });
    return this.turn();
  }

  async turn() {
    const asked = {
      model: this.model,
      max_tokens: 4096,
      system: instructions,
      messages: this.said,
      ...(this.tools.length && { tools: this.tools.map((name) => ({ name, input_schema: parameters(name) })) }),
      ...(this.thinks && { thinking: { type: 'enabled', budget_tokens: 2048 } }),
      ...(this.object && { output_config: { format: zodOutputFormat(City) } }),
    };
    let final;
    if (this.streamed) {
      const stream = this.client.messages.stream(asked);
      stream.on('text', (piece) => this.heard.push(piece));
      final = await stream.finalMessage();
    } else {
      final = await (this.object ? this.client.messages.parse(asked) : this.client.messages.create(asked));
    }
    const { content, usage } = final;
    this.last = content;
    const kept = content.filter((block) => !(this.forgetful && block.type.includes('thinking')));
    this.said.push({ role: 'assistant', content: kept });
    const of = (type) => content.filter((block) => block.type === type);
    const cached = (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
    return {
      text: of('text').map((block) => block.text).join(''),
      calls: of('tool_use').map((block) => [block.name, block.input]),
      finish: final.stop_reason,
      tokens: [usage.input_tokens + cached, usage.output_tokens],
      thoughts: of('thinking').map((block) => block.thinking).join(''),
      parsed: final.parsed_output,
    };
  }
}

class Gemini extends Conversation {
  static failures = { 400: ApiError, 401: ApiError, 404: ApiError, 429: ApiError, 500: ApiError };
  static broken = ApiError;
  client = new GoogleGenAI({ apiKey: freshKey(), vertexai: false, httpOptions: { baseUrl: gateway, timeout: 20_000 } });

  ask(text, media) {
    const part = media && { inlineData: { mimeType: media.mime, data: media.data } };
    this.said.push({ role: 'user', parts: media ? [{ text }, part] : [{ text }] });
    return this.turn();
  }

  reply(...results) {
    const calls = this.last.filter((part) => part.functionCall).map((part) => part.functionCall);
    const parts = calls.map(({ id, name }, at) => ({
      functionResponse: { id, name, response: { output: results[at] } },
    }));
    this.said.push({ role: 'user', parts });
    return this.turn();
  }

  async turn() {
    const functionDeclarations = this.tools.map((name) => ({ name, parametersJsonSchema: parameters(name) }));
    const config = {
      systemInstruction: instructions,
      ...(this.tools.length && { tools: [{ functionDeclarations }] }),
      ...(this.thinks && { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } }),
      ...(this.object && { responseMimeType: 'application/json', responseJsonSchema: z.toJSONSchema(City) }),
    };
    const asked = { model: this.model, contents: this.said, config };
    const answers = [];
    if (this.streamed) {
      for await (const answer of await this.client.models.generateContentStream(asked)) {
        answers.push(answer);
        this.heard.push(...pieces(answer.text));
      }
    } else {
      answers.push(await this.client.models.generateContent(asked));
    }
    this.last = answers.flatMap((answer) => answer.candidates?.[0]?.content?.parts ?? []);
    const bare = ({ text, functionCall }) => (functionCall ? { functionCall } : { text });
    const kept = this.forgetful ? this.last.filter((part) => !part.thought).map(bare) : this.last;
    this.said.push({ role: 'model', parts: kept });
    const texts = (thought) => this.last.filter((part) => part.text && !!part.thought === thought);
    const [text, thoughts] = [false, true].map((thought) => texts(thought).map((part) => part.text).join(''));
    const { usageMetadata: usage, candidates } = answers.at(-1);
    return {
      text,
      calls: this.last.flatMap(({ functionCall: call }) => (call ? [[call.name, call.args]] : [])),
      finish: candidates[0].finishReason,
      tokens: [usage.promptTokenCount, usage.candidatesTokenCount + (usage.thoughtsTokenCount ?? 0)],
      thoughts,
      parsed: this.object ? JSON.parse(text) : null,
    };
  }
}

export const clients = { chat: Chat, responses: Responses, messages: Messages, gemini: Gemini };
