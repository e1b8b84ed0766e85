-- Records a worker's heartbeat. The first model becomes the default.
-- args: worker, info, model
redis.call('ZADD', fleet_key(), now(), args.worker)
redis.call('HSET', fleet_info_key(), args.worker, args.info)
redis.call('HSETNX', default_key(), 'model', args.model)
