import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import OpenAI from 'openai';
import { say } from './say.mjs';

const client = new OpenAI({ maxRetries: 0 });
const file = await client.files.create({ file: createReadStream(process.argv[2]), purpose: 'user_data' });
const content = await client.files.content(file.id);
const digest = createHash('sha256').update(Buffer.from(await content.arrayBuffer())).digest('hex');
say({ bytes: file.bytes, filename: file.filename, digest });
