// A Date that goes by another clock: `now` gives ms since the epoch.
(function (now) {
  const System = Date;

  function Other(...args) {
    if (!new.target) return new System(now()).toString();
    return Reflect.construct(System, args.length > 0 ? args : [now()], new.target);
  }

  Object.defineProperties(Other, {
    name: { value: "Date" },
    length: { value: System.length },
    prototype: { value: System.prototype, writable: false },
  });
  for (const name of ["parse", "UTC"]) Object.defineProperty(Other, name, Object.getOwnPropertyDescriptor(System, name));
  Object.defineProperty(Other, "now", { value: () => now(), writable: true, configurable: true });
  System.prototype.constructor = Other;
  return Other;
})
