-- An admitted job gets its place in the queue.
-- id, request, content, shares, spacing_s, max_tokens -> queued | quarantined | gone
--
-- A place is a time. The further questions of a client who has some already take later
-- places, as far apart as starts are, so that others find their turn between them;
-- a batch job is placed as if it had come BATCH_S later, and nobody after that passes.
local id, content = ARGV[1], ARGV[3]
local job = redis.call('HMGET', job_key(id), 'state', 'pool', 'owner', 'batch')
local pool, owner = job[2], job[3]
if job[1] ~= 'waiting' then return 'gone' end
if deaths_of(content) >= MOST_DEATHS then return 'quarantined' end
local place, latest = now(), 'edge:place:' .. owner
if redis.call('ZCARD', 'edge:client:' .. owner) > 1 then
  place = math.max(place, (redis.call('GET', latest) or 0) + ARGV[5])
end
redis.call('SET', latest, place, 'EX', KEEP_S)
if job[4] == '1' then place = place + BATCH_S end
redis.call('HSET', job_key(id), 'request', ARGV[2], 'content', content,
           'shares', ARGV[4], 'place', place, 'watched', now() + WATCH_S,
           'most', ARGV[6])
redis.call('ZADD', set_of('waiting', pool), place, id)
redis.call('LPUSH', set_of('unchecked', pool), id)
redis.call('LTRIM', set_of('unchecked', pool), 0, 999)
return 'queued'
