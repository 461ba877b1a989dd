import OpenAI from 'openai';
import { ResponsesWS } from 'openai/resources/responses/ws';
import { say, until } from './say.mjs';

const socket = new ResponsesWS(new OpenAI());
const done = until(socket, 'response.completed');
socket.send({ type: 'response.create', model: 'gpt-5-mini', input: 'one two three' });
say({ text: (await done).response.output[0].content[0].text });
socket.close();
