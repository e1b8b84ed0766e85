-- An admitted job gets its place in the queue.
-- id, request, content, schema or '', shares, spacing_s, max_tokens
-- -> queued | quarantined | gone
--
-- A place is a time. The further questions of an account that has some already take later
-- places, as far apart as starts are, over its weight, so that others find their turn
-- between them; a job of low priority is placed as if it had come BATCH_S later, and
-- nobody after that passes; one of high priority as if it had come BATCH_S earlier.
local id, content, schema = ARGV[1], ARGV[3], ARGV[4]
local job = redis.call('HMGET', job_key(id), 'state', 'pool', 'account', 'priority',
                       'weight', 'culprit')
if job[1] ~= 'waiting' then return 'gone' end
if is_quarantined(content, schema, job[6]) then return 'quarantined' end
local pool, place, latest = job[2], now(), 'edge:place:' .. job[3]
if redis.call('ZCARD', account_key(job[3])) > 1 then
  local spacing_s = ARGV[6] / tonumber(job[5])
  place = math.max(place, (redis.call('GET', latest) or 0) + spacing_s)
end
redis.call('SET', latest, place, 'EX', KEEP_S)
if job[4] == 'low' then place = place + BATCH_S end
if job[4] == 'high' then place = place - BATCH_S end
redis.call('HSET', job_key(id), 'request', ARGV[2], 'content', content,
           'schema', schema, 'shares', ARGV[5], 'place', place,
           'watched', now() + WATCH_S, 'most', ARGV[7])
redis.call('ZADD', set_of('waiting', pool), place, id)
redis.call('LPUSH', set_of('unchecked', pool), id)
redis.call('LTRIM', set_of('unchecked', pool), 0, 999)
return 'queued'
