import OpenAI from 'openai';
import { say } from './say.mjs';

const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: 'user', content: 'one two three' }];
const stream = await client.chat.completions.create({ model: 'gpt-5-mini', messages, stream: true });
try {
  for await (const chunk of stream) say({ piece: chunk.choices[0].delta.content ?? '' });
  say({ end: 'whole' });
} catch (error) {
  say({ end: 'error', error: error.constructor.name, message: `${error.message} ${error.cause ?? ''}` });
}
