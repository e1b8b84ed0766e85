-- Puts an admitted job into the queue of its pool, once.
-- args: job_id, request, content, schema or '', shares or '', spacing_s, max_tokens,
--       no_slot (1: no answer is computed)
-- reply: queued | joined (another request did it) | quarantined | gone
--
-- A score is a time; the lowest is claimed first. Further jobs of an account that has
-- unfinished ones get later scores, as far apart as jobs start, divided by the account's
-- weight, so that jobs of others come between them. Low priority adds BATCH_S, so that
-- nothing that comes later than that overtakes the job; high priority subtracts it.
local id = args.job_id
local job = fields_of(job_key(id), 'state', 'pool', 'account', 'priority', 'weight',
                      'culprit', 'score')
if job.score then
  local has_ended = job.state ~= 'waiting' and job.state ~= 'running'
  if has_ended then redis.call('UNLINK', pictures_key(id)) end
  return 'joined'
end
if job.state ~= 'waiting' then return 'gone' end
job.content, job.schema = args.content, args.schema
if is_quarantined(deaths_of(job), guilt_of(job)) then return 'quarantined' end
local score, latest = now(), score_key(job.account)
local n_others = redis.call('ZCARD', account_key(job.account)) - 1
if n_others > 0 then  -- no later than after all of them, whatever has ended meanwhile
  local step = args.spacing_s / job.weight
  local bound = math.min(number_at(latest), score + (n_others - 1) * step)
  score = math.max(score, bound + step)
end
redis.call('SET', latest, score, 'EX', KEEP_S)
if job.priority == 'low' then score = score + BATCH_S end
if job.priority == 'high' then score = score - BATCH_S end
redis.call('HSET', job_key(id), 'request', args.request, 'content', args.content,
           'schema', args.schema, 'shares', args.shares, 'score', score,
           'watched', now() + WATCH_S, 'max_tokens', args.max_tokens,
           'no_slot', args.no_slot)
redis.call('ZADD', waiting_key(job.pool), score, id)
redis.call('LPUSH', unchecked_key(job.pool), id)
redis.call('LTRIM', unchecked_key(job.pool), 0, 999)
return 'queued'
