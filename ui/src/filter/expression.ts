/** A scalar of an entry, as a filter can name it. */
export type Scalar = string | number | boolean;

/** A field's name, a place in a list, or the key of a map whose keys are data (a header, a cookie). */
export type PathPart = string | number | { key: string };

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `request.headers["Content-Type"]`, `request.questions[0].name` */
export function fieldPath(parts: readonly PathPart[]): string {
  return parts
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      if (typeof part === 'object') return `[${quote(part.key)}]`;
      if (!IDENTIFIER.test(part)) return `[${quote(part)}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join('');
}

function quote(text: string): string {
  // A KFL string has no escapes, so the quote has to be one that the text does not hold; only the
  // back quote takes a backslash as any other character.
  const marks = /[\\\n]/.test(text) ? ['`'] : ['"', "'", '`'];
  const mark = marks.find((candidate) => !text.includes(candidate)) ?? '"';
  return mark + text + mark;
}

export function comparison(path: string, operator: '==' | '!=', value: Scalar): string {
  return `${path} ${operator} ${typeof value === 'string' ? quote(value) : String(value)}`;
}

/** `filter and term`. As `and` and `or` bind alike and to the right, what has an `or` is bracketed. */
export function narrowed(filter: string, term: string): string {
  const base = filter.trim();
  if (base === '') return term;
  return /\bor\b|\|\|/.test(base) ? `(${base}) and ${term}` : `${base} and ${term}`;
}
