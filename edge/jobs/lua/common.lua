-- Before every script: names of keys, the broker's clock, and the ways a job moves.
-- All keys follow from a job's id and record, so scripts take arguments only.

local PASSING = {worker_lost = true, shutting_down = true, service_unavailable = true}

local function job_key(id) return 'edge:job:' .. id end
local function events_key(id, attempt) return 'edge:events:' .. id .. ':' .. attempt end
local function set_of(kind, pool) return 'edge:' .. kind .. ':' .. pool end
local function deaths_key(content) return 'edge:deaths:' .. content end
local function account_key(account) return 'edge:account:' .. account end
local function address_key(address) return 'edge:address:' .. address end
local function schema_key(schema) return deaths_key('schema ' .. schema) end
local function guilt_key(culprit) return 'edge:guilt:' .. culprit end
local function once_key(name) return 'edge:once:' .. name end

local function quota_key(tenant, what, window_s, at)
  return string.format('edge:quota:%s:%s:%d:%d', tenant, what, window_s,
                       math.floor(at / window_s))
end

local function now()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end

local function failed(code, message)
  return cjson.encode({kind = 'failed', code = code, message = message})
end

-- Attempts number their events, `1-0`, `2-0`, ...; what closes a stream has the time
-- for a number, which is larger than any, so that Redis refuses all that comes later.
local function close(id, attempt, event)
  redis.call('XADD', events_key(id, attempt), '*', 'event', event)
  redis.call('EXPIRE', events_key(id, attempt), KEEP_S)
end

-- Takes a charge back, in those of its windows that are not over.
local function refund(tenant, what, n, at)
  for _, window_s in ipairs({60, 86400}) do
    local key = quota_key(tenant, what, window_s, at)
    if n > 0 and redis.call('EXISTS', key) == 1 then redis.call('DECRBY', key, n) end
  end
end

-- What a tenant has used of a model on this day (UTC): one hash for each day.
local function use(tenant, model, counts)
  local day = 'edge:usage:' .. math.floor(now() / 86400)
  for what, n in pairs(counts) do
    if n > 0 then
      redis.call('HINCRBY', day, tenant .. ' ' .. what .. ' ' .. model, n)
    end
  end
  redis.call('EXPIRE', day, KEEP_USAGE_S)
end

-- What a job that has ended used; how much of it was computed for this job.
local function settle(id, state, outcome, attempt, is_shared)
  local job = redis.call('HMGET', job_key(id), 'tenant', 'model', 'image', 'charged',
                         'charged_at')
  local counts, answer_tokens = {requests = 1}, 0
  if state == 'finished' and (is_shared or attempt == 0) then
    counts.cached = 1
  elseif state == 'finished' then
    local usage = cjson.decode(outcome).answer.usage
    answer_tokens = usage.completion_tokens
    counts.image_tokens = tonumber(job[3] or 0)
    counts.prompt_tokens = usage.prompt_tokens
  elseif attempt > 0 then  -- an event for each token, or for a few
    answer_tokens = redis.call('XLEN', events_key(id, attempt))
    counts.failed = 1
  else
    counts.failed = 1
  end
  counts.answer_tokens = answer_tokens
  use(job[1], job[2], counts)
  local unused = tonumber(job[4]) - answer_tokens
  if unused > 0 then refund(job[1], 'answer-tokens', unused, tonumber(job[5])) end
end

-- The one place where a job ends. Its pictures are megabytes: they go at once, or a
-- busy hour fills the broker with them.
-- `is_shared`: with the answer to another job.
local function end_job(id, state, outcome, is_shared)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'state', 'attempt', 'pool', 'account', 'suspect',
                         'content', 'once', 'address', 'schema')
  local before, attempt, pool = job[1], tonumber(job[2]), job[3]
  settle(id, state, outcome, attempt, is_shared)
  redis.call('UNLINK', 'edge:pictures:' .. id)
  redis.call('HDEL', key, 'request')
  redis.call('HSET', key, 'state', state, 'outcome', outcome)
  redis.call('EXPIRE', key, KEEP_S)
  for _, kind in ipairs({'live', 'waiting', 'running'}) do
    redis.call('ZREM', set_of(kind, pool), id)
  end
  redis.call('ZREM', account_key(job[4]), id)
  redis.call('ZREM', address_key(job[8]), id)
  if state == 'finished' and job[5] == '1' then  -- it was innocent
    redis.call('DEL', deaths_key(job[6]), schema_key(job[9] or ''))
  end
  -- Not even tried, or through no fault of its own: the same name may be asked again.
  local is_open = attempt == 0 or PASSING[cjson.decode(outcome).code]
  if job[7] and state ~= 'finished' and is_open then
    redis.call('DEL', once_key(job[7]))
  end
  -- Whoever follows a waiting job listens to the attempt that is to come.
  close(id, before == 'waiting' and attempt + 1 or attempt, outcome)
end

-- Back into the queue, at its old place. Its attempt may write no more.
local function try_again(id, pool, attempt, place)
  redis.call('HSET', job_key(id), 'state', 'waiting')
  redis.call('ZREM', set_of('running', pool), id)
  redis.call('ZADD', set_of('waiting', pool), place, id)
  close(id, attempt, cjson.encode({kind = 'retried'}))
end

local function number_at(key) return tonumber(redis.call('GET', key) or 0) end

-- How many workers have died, lately, of a content or of the schema it asks for.
local function deaths_of(content, schema)
  local of_schema = schema and schema ~= '' and number_at(schema_key(schema)) or 0
  return math.max(number_at(deaths_key(content)), of_schema)
end

-- How many workers have died while only a question of this caller was computed.
local function guilt_of(culprit) return number_at(guilt_key(culprit)) end

local function is_quarantined(content, schema, culprit)
  return deaths_of(content, schema) >= MOST_DEATHS or guilt_of(culprit) >= MOST_GUILT
end

-- Whether an attempt's client has been shown text that cannot be taken back.
local function has_shown(id, attempt)
  local last = redis.call('XREVRANGE', events_key(id, attempt), '+', '-', 'COUNT', 1)[1]
  return last ~= nil and cjson.decode(last[2][2]).kind == 'token'
end

local function is_forgotten(kept, watched, at)
  return kept ~= '1' and tonumber(watched) < at
end
