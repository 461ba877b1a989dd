import OpenAI from 'openai';
import { say } from './say.mjs';

const client = new OpenAI({ maxRetries: 0 });
const { data: chat, response } = await client.chat.completions
  .create({ model: 'gpt-5-mini', messages: [{ role: 'user', content: 'one two three' }] })
  .withResponse();
say({
  content: chat.choices[0].message.content,
  usage: chat.usage.total_tokens,
  request_id: chat._request_id,
  limit: response.headers.get('x-ratelimit-limit-requests'),
});
const models = [];
for await (const model of client.models.list()) models.push(model.id);
say(models);
