import OpenAI from 'openai';
import { say } from './say.mjs';

const client = new OpenAI({ maxRetries: Number(process.argv[2] ?? 0) });
try {
  await client.models.retrieve('no-such-model');
  say({ error: null });
} catch (error) {
  say({
    error: Object.keys(OpenAI).find((name) => error.constructor === OpenAI[name]) ?? error.constructor.name,
    status: error.status,
    code: error.code,
    type: error.type,
    message: error.message,
    request_id: error.requestID,
    retry_after: error.headers.get('retry-after'),
  });
}
