-- Takes an admission back whose reply was lost, in every order: one that has run has its
-- jobs ended, one that runs later finds the records that are left here. One that another
-- request has joined goes on. The record of one that has ended, and was refunded then,
-- is there for KEEP_S: what was charged before that is not refunded again.
-- args: job_ids, tenant, charged (of each), charged_at
for _, id in ipairs(args.job_ids) do
  local key = job_key(id)
  local job = fields_of(key, 'state', 'joined')
  if not job.state then
    redis.call('HSET', key, 'state', 'cancelled')
    redis.call('EXPIRE', key, KEEP_S)
    if now() < args.charged_at + KEEP_S then
      refund(args.tenant, 'answer-tokens', args.charged, args.charged_at)
    end
  elseif job.state == 'waiting' and not job.joined then
    end_job(id, 'cancelled', failed('cancelled', LEFT))
  end
end
