-- A worker has found that a waiting job fits.
-- id, prompt_tokens, image_tokens, event
-- Its number is before those of the first attempt; if that has begun it is not missed.
if redis.call('HGET', job_key(ARGV[1]), 'state') ~= 'waiting' then return end
redis.call('HSET', job_key(ARGV[1]), 'prompt', ARGV[2], 'image', ARGV[3])
redis.pcall('XADD', events_key(ARGV[1], 1), '0-1', 'event', ARGV[4])
redis.call('EXPIRE', events_key(ARGV[1], 1), KEEP_S)
