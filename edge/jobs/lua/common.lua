-- Before every script: names of keys, the broker's clock, and the ways a job moves.
-- All keys follow from a job's id and record, so scripts take arguments only.

local PASSING = {worker_lost = true, shutting_down = true, service_unavailable = true}

local function job_key(id) return 'edge:job:' .. id end
local function events_key(id, attempt) return 'edge:events:' .. id .. ':' .. attempt end
local function set_of(kind, pool) return 'edge:' .. kind .. ':' .. pool end
local function deaths_key(content) return 'edge:deaths:' .. content end
local function once_key(name) return 'edge:once:' .. name end

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

-- The one place where a job ends. Its pictures are megabytes: they go at once, or a
-- busy hour fills the broker with them.
local function end_job(id, state, outcome)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'state', 'attempt', 'pool', 'owner', 'suspect',
                         'content', 'once')
  local before, attempt, pool, owner = job[1], tonumber(job[2]), job[3], job[4]
  redis.call('UNLINK', 'edge:pictures:' .. id)
  redis.call('HDEL', key, 'request')
  redis.call('HSET', key, 'state', state, 'outcome', outcome)
  redis.call('EXPIRE', key, KEEP_S)
  for _, kind in ipairs({'live', 'waiting', 'running'}) do
    redis.call('ZREM', set_of(kind, pool), id)
  end
  redis.call('ZREM', 'edge:client:' .. owner, id)
  if state == 'finished' and job[5] == '1' then  -- it was innocent
    redis.call('DEL', deaths_key(job[6]))
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

-- How many workers have died of a content, lately.
local function deaths_of(content)
  return tonumber(redis.call('GET', deaths_key(content)) or 0)
end

-- Whether an attempt's client has been shown text that cannot be taken back.
local function has_shown(id, attempt)
  local last = redis.call('XREVRANGE', events_key(id, attempt), '+', '-', 'COUNT', 1)[1]
  return last ~= nil and cjson.decode(last[2][2]).kind == 'token'
end

local function is_forgotten(kept, watched, at)
  return kept ~= '1' and tonumber(watched) < at
end
