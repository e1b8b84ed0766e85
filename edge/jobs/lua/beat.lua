-- A worker says that it lives.  name, info
redis.call('ZADD', 'edge:fleet', now(), ARGV[1])
redis.call('HSET', 'edge:fleet:info', ARGV[1], ARGV[2])
