-- Records the size of a waiting job that the preflight check has accepted.
-- args: job_id, prompt_tokens, image_tokens, encode_tokens, event
-- The event's number precedes those of the first attempt; if that has begun, the event
-- is dropped and not missed.
local id = args.job_id
if redis.call('HGET', job_key(id), 'state') ~= 'waiting' then return end
redis.call('HSET', job_key(id), 'prompt_tokens', args.prompt_tokens, 'image_tokens',
           args.image_tokens, 'encode_tokens', args.encode_tokens)
redis.pcall('XADD', events_key(id, 1), '0-1', 'event', args.event)
redis.call('EXPIRE', events_key(id, 1), KEEP_S)
