// `node --require` this file: the process can then open no connection, except to a Unix socket.
const { Socket } = require('node:net');

const connect = Socket.prototype.connect;

/** @param {any[]} args */
Socket.prototype.connect = function (...args) {
  // Node.js itself passes the options and the callback as one array.
  const [target] = Array.isArray(args[0]) ? args[0] : args;
  const isUnixSocket = typeof target === 'string' || typeof target?.path === 'string';
  if (isUnixSocket) {
    return Reflect.apply(connect, this, args);
  }
  const error = Object.assign(new Error('no-network.cjs: no connection is allowed'), {
    code: 'ENETUNREACH',
  });
  process.nextTick(() => this.destroy(error));
  return this;
};
