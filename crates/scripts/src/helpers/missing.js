// Has errors that come of calling a helper that there is none of say so. Runs only for scripts that have such calls.
(function (file, missing) {
  const before = (a, b) => a[0] < b[0] || (a[0] === b[0] && a[1] <= b[1]);

  Error.prepareStackTrace = function (error, sites) {
    const [site] = sites;
    const unknown = /^(not a function|cannot read property '.*' of undefined)$/.test(error?.message);
    if (unknown && site && !site.isNative() && site.getFileName() === file) {
      const at = [site.getLineNumber(), site.getColumnNumber()];
      const call = missing.find(({ from, to }) => before(from, at) && before(at, to));
      if (call) error.message = call.message;
    }
    // as it is without this
    return sites.map((site) => {
      const name = site.getFunctionName() || "<anonymous>";
      const place = site.isNative() ? "native" : `${site.getFileName()}:${site.getLineNumber()}:${site.getColumnNumber()}`;
      return `    at ${name} (${place})\n`;
    }).join("");
  };
})
