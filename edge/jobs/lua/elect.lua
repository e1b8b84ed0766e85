-- Makes a web process the one that reconciles, or keeps it so.
-- args: name, lock_ms
-- reply: 1, or 0 when another process is; the broker's time in seconds
local elected = redis.call('GET', reconciler_key())
if elected and elected ~= args.name then return {0, tostring(now())} end
redis.call('SET', reconciler_key(), args.name, 'PX', args.lock_ms)
return {1, tostring(now())}
