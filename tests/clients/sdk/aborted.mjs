import OpenAI from 'openai';
import { say } from './say.mjs';

const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: 'user', content: 'one two three four five' }];
const stream = await client.chat.completions.create({ model: 'gpt-5-mini', messages, stream: true });
for await (const chunk of stream) {
  if (chunk.choices[0].delta.content) break;
}
stream.controller.abort();
say('aborted');
// The process stays: what upstream sees is the abort, not its end.
for await (const _ of process.stdin);
