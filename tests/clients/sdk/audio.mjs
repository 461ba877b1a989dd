import OpenAI, { toFile } from 'openai';
import { say } from './say.mjs';

const client = new OpenAI({ maxRetries: 0 });
const spoken = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'one two' });
const sound = Buffer.from(await spoken.arrayBuffer());
const heard = await client.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(sound, 'a.mp3') });
say({ type: spoken.headers.get('content-type'), size: sound.length, heard: heard.text });
