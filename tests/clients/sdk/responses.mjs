import OpenAI from 'openai';
import { say } from './say.mjs';

const client = new OpenAI({ maxRetries: 0 });
const stream = client.responses.stream({ model: 'gpt-5-mini', input: 'one two three' });
const types = [];
for await (const event of stream) types.push(event.type);
say({ first: types[0], last: types.at(-1), text: (await stream.finalResponse()).output_text });
