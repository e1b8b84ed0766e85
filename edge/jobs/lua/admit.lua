-- A place for a new job, or the reason why not.
-- id, pool, owner, limit, client_limit, deadline_s, is_batch, streams, kept,
-- once or '', body, model -> {word, id or how many there are, when it was created}
local id, pool, owner = ARGV[1], ARGV[2], ARGV[3]
local limit, client_limit, deadline_s = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local once, body = ARGV[10], ARGV[11]
if once ~= '' then
  local before = redis.call('GET', once_key(once))
  local asked = before and redis.call('HMGET', job_key(before), 'body', 'created')
  if asked and asked[1] then
    return {asked[1] == body and 'joined' or 'reused', before, asked[2]}
  end
end
local at, live, client = now(), set_of('live', pool), 'edge:client:' .. owner
redis.call('ZREMRANGEBYSCORE', client, '-inf', at)
local n_live, n_client = redis.call('ZCARD', live), redis.call('ZCARD', client)
if n_live >= limit then return {'queue_full', n_live} end
if n_client >= client_limit then return {'client_limit', n_live} end
local expires = at + deadline_s
redis.call('HSET', job_key(id), 'state', 'waiting', 'attempt', 0, 'pool', pool,
           'owner', owner, 'created', at, 'expires', expires, 'batch', ARGV[7],
           'streams', ARGV[8], 'kept', ARGV[9], 'watched', at + VET_S, 'body', body,
           'suspect', 0, 'content', '', 'model', ARGV[12],
           'once', once)
redis.call('EXPIRE', job_key(id), deadline_s + KEEP_S)
redis.call('ZADD', live, at, id)
redis.call('ZADD', client, expires + WATCH_S, id)
redis.call('EXPIRE', client, deadline_s + KEEP_S)
redis.call('SADD', 'edge:pools', pool)
if once ~= '' then
  redis.call('SET', once_key(once), id, 'EX', deadline_s + KEEP_S)
end
return {'admitted', id, string.format('%.17g', at)}
