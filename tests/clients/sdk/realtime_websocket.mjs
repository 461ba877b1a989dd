// The kind for browsers: the platform's own WebSocket, the key in a subprotocol.
import OpenAI from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { converse } from './realtime.mjs';

const client = new OpenAI({ organization: 'org-of-the-client', project: 'proj_of_the_client' });
await converse(new OpenAIRealtimeWebSocket({ model: 'gpt-realtime' }, client));
