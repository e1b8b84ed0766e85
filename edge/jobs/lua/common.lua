-- What scripts share: the broker's clock, records and replies by name, and the ways a job
-- moves. Each paragraph is one definition; `scripts.py` puts those that a script needs in
-- front of it, behind constants, `args` and functions that name keys.

-- Failures through no fault of the job.
local PASSING = {worker_lost = true, shutting_down = true, service_unavailable = true}

local function now()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end

-- Fields of a hash by name; absent ones are nil.
local function fields_of(key, ...)
  local values, fields = redis.call('HMGET', key, ...), {}
  for i, name in ipairs({...}) do fields[name] = values[i] or nil end
  return fields
end

-- A reply: names and values in turn. Redis would cut the fraction off a number.
local function reply(fields)
  local flat, n = {}, 0
  for name, value in pairs(fields) do
    if type(value) == 'number' then value = string.format('%.17g', value) end
    if type(value) == 'boolean' then value = value and '1' or '0' end
    flat[n + 1], flat[n + 2], n = name, value, n + 2
  end
  return flat
end

local function failed(code, message)
  return cjson.encode({kind = 'failed', code = code, message = message})
end

-- How long an ended job stays, by the bytes of its answer.
local function keep_s(outcome)
  local seconds = math.min(KEEP_S, KEEP_S * KEEP_BYTES / #outcome)
  return math.ceil(math.max(seconds, LEAST_KEEP_S))
end

-- Attempts number their events, `1-0`, `2-0`, ...; what closes a stream is numbered by
-- the time, which is larger than any, so that Redis refuses all that comes later.
local function close(id, attempt, event)
  redis.call('XADD', events_key(id, attempt), '*', 'event', event)
  redis.call('EXPIRE', events_key(id, attempt), keep_s(event))
end

-- Takes a charge back, in those of its windows that are not over.
local function refund(tenant, counted, n, at)
  for _, window_s in ipairs({60, 86400}) do
    local key = quota_key(tenant, counted, window_s, math.floor(at / window_s))
    if n > 0 and redis.call('EXISTS', key) == 1 then redis.call('DECRBY', key, n) end
  end
end

-- Adds to what a tenant has used of a model on this day (UTC).
local function use(tenant, model, counts)
  local key = usage_key(math.floor(now() / 86400))
  for counted, n in pairs(counts) do
    if n > 0 then
      redis.call('HINCRBY', key, tenant .. ' ' .. counted .. ' ' .. model, n)
    end
  end
  redis.call('EXPIRE', key, KEEP_USAGE_S)
end

-- Whether an attempt's client has been shown text that cannot be taken back.
local function has_shown(id, attempt)
  local last = redis.call('XREVRANGE', events_key(id, attempt), '+', '-', 'COUNT', 1)[1]
  return last ~= nil and cjson.decode(last[2][2]).kind == 'token'
end

-- Counts what an ended job used, unless it was refused on its way into the queue, as
-- those are not that admission refuses; and gives back the answer tokens that it did not use,
-- and the image tokens if it was never begun.
local function settle(id, job, state, outcome, is_shared)
  local counts, attempt, answer_tokens = {requests = 1}, tonumber(job.attempt), 0
  if state == 'finished' and job.no_slot == '1' then
    -- tokens were counted: nothing was computed
  elseif state == 'finished' and (is_shared or attempt == 0) then
    counts.cached = 1
  elseif state == 'finished' then
    local usage = cjson.decode(outcome).answer.usage
    answer_tokens = usage.completion_tokens
    -- older workers do not say all of these
    counts.image_tokens = usage.image_tokens or tonumber(job.image_tokens or 0)
    counts.prompt_tokens = usage.prompt_tokens
    for _, cached in ipairs({'cached_tokens', 'memory_image_tokens',
                             'stored_image_tokens'}) do
      counts[cached] = usage[cached] or 0
    end
  else
    counts.failed = 1
    if attempt > 0 and has_shown(id, attempt) then
      -- an event for each token, or for a few; some for the pictures and the prompt
      local n_events = redis.call('XLEN', events_key(id, attempt))
      answer_tokens = math.min(n_events, tonumber(job.max_tokens or n_events))
    end
  end
  counts.answer_tokens = answer_tokens
  if state == 'finished' or job.score then use(job.tenant, job.model, counts) end
  if attempt == 0 and job.image_charged then
    refund(job.tenant, 'image-tokens', tonumber(job.image_charged),
           tonumber(job.image_charged_at))
  end
  local n_unused = tonumber(job.charged) - answer_tokens
  if n_unused > 0 then
    refund(job.tenant, 'answer-tokens', n_unused, tonumber(job.charged_at))
  end
end

local function leave_pool(id, pool)
  for _, key in ipairs({live_key(pool), waiting_key(pool), running_key(pool)}) do
    redis.call('ZREM', key, id)
  end
end

-- Deaths are counted by what a job asks: its content, and its JSON schema.
local function schema_cause(schema) return 'schema ' .. schema end

-- The one place where a job ends. Its pictures are megabytes: they are deleted at once,
-- or a busy hour fills the broker with them.
-- `is_shared`: with the answer to another job.
local function end_job(id, state, outcome, is_shared)
  local key = job_key(id)
  local job = fields_of(key, 'state', 'attempt', 'pool', 'account', 'address', 'suspect',
                        'content', 'schema', 'idempotency_name', 'tenant', 'model',
                        'image_tokens', 'charged', 'charged_at', 'max_tokens',
                        'image_charged', 'image_charged_at', 'no_slot', 'score')
  settle(id, job, state, outcome, is_shared)
  redis.call('UNLINK', pictures_key(id))
  redis.call('HDEL', key, 'request')
  redis.call('HSET', key, 'state', state, 'outcome', outcome)
  redis.call('EXPIRE', key, keep_s(outcome))
  leave_pool(id, job.pool)
  redis.call('ZREM', account_key(job.account), id)
  redis.call('ZREM', address_key(job.address), id)
  if state == 'finished' and job.suspect == '1' then  -- it was innocent
    redis.call('DEL', deaths_key(job.content),
               deaths_key(schema_cause(job.schema or '')))
  end
  -- Not tried, or failed through no fault of its own: it may be submitted again.
  local attempt = tonumber(job.attempt)
  local is_open = attempt == 0 or PASSING[cjson.decode(outcome).code]
  if job.idempotency_name and state ~= 'finished' and is_open then
    redis.call('DEL', idempotency_key(job.idempotency_name))
  end
  -- Followers of a waiting job read the stream of its next attempt.
  close(id, job.state == 'waiting' and attempt + 1 or attempt, outcome)
end

-- Back into the queue with its old score, which records of older versions lack. Its
-- attempt can write no more.
local function try_again(id, pool, job)
  redis.call('HSET', job_key(id), 'state', 'waiting')
  redis.call('ZREM', running_key(pool), id)
  redis.call('ZADD', waiting_key(pool), job.score or now(), id)
  close(id, job.attempt, cjson.encode({kind = 'retried'}))
end

local function number_at(key) return tonumber(redis.call('GET', key) or 0) end

-- How many workers were lost lately with a job of this content or this JSON schema.
local function deaths_of(job)
  local n_deaths = number_at(deaths_key(job.content or ''))
  if (job.schema or '') == '' then return n_deaths end
  return math.max(n_deaths, number_at(deaths_key(schema_cause(job.schema))))
end

-- How many workers were lost lately while they computed only a job of this culprit.
local function guilt_of(job) return number_at(guilt_key(job.culprit or '')) end

-- A worker that was presumed dead has an attempt of this job: it stood still, and nobody
-- has died of the job.
local function absolve(id, attempt)
  local text = redis.call('HGET', job_key(id), 'blamed')
  local blamed = text and cjson.decode(text)
  if not blamed or tonumber(blamed.attempt) ~= attempt then return end
  for _, key in ipairs(blamed.keys) do
    if redis.call('DECR', key) < 1 then redis.call('DEL', key) end
  end
  redis.call('HDEL', job_key(id), 'blamed')
end

local function is_quarantined(n_deaths, n_guilty)
  return n_deaths >= MOST_DEATHS or n_guilty >= MOST_GUILT
end

-- Whether no client waits for a job, of which these fields are known. One that has not
-- said so in time is missed first: the machine may have stood still, for the web process
-- too, which then says so a moment later.
local function is_forgotten(id, job, at)
  if job.kept == '1' or tonumber(job.watched) >= at then return false end
  if not job.missed or tonumber(job.missed) < tonumber(job.watched) then
    redis.call('HSET', job_key(id), 'missed', at)
    return false
  end
  return tonumber(job.missed) + MISS_S < at
end
