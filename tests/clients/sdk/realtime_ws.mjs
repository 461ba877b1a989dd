// The kind for servers: the `ws` package, the key in Authorization.
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { converse } from './realtime.mjs';

await converse(new OpenAIRealtimeWS({ model: 'gpt-realtime' }, new OpenAI()));
