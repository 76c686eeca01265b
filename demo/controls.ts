/** The controls of an experiment: presets, sliders and the choice of nonlinearity. */
import type { Activation } from './activation.js';
import { bindSlider, setText } from './page.js';
import { PRESETS, type Settings, type SliderName, VALUES } from './settings.js';

/** @returns a function for the current settings; `onChange` receives them after every change. */
export function bindSettings(onChange: (settings: Settings) => void): () => Settings {
  let settings = PRESETS[0]!.settings;
  const radios = [...document.querySelectorAll<HTMLInputElement>('input[name="activation"]')];
  const buttons = [...document.querySelectorAll<HTMLButtonElement>('[data-preset]')];

  const change = (changed: Partial<Settings>) => {
    settings = { ...settings, ...changed };
    showPreset();
    onChange(settings);
  };
  const sliders = (Object.keys(VALUES) as SliderName[]).map((name) => {
    const show = bindSlider(name, VALUES[name], (value) => change({ [name]: value }));
    return () => show(settings[name]);
  });
  for (const radio of radios) radio.addEventListener('change', () => change({ activation: radio.value as Activation }));
  buttons.forEach((button, i) => {
    button.addEventListener('click', () => {
      change(PRESETS[i]!.settings);
      showControls();
    });
  });

  function showControls(): void {
    for (const show of sliders) show();
    for (const radio of radios) radio.checked = radio.value === settings.activation;
  }
  function showPreset(): void {
    const keys = Object.keys(settings) as (keyof Settings)[];
    const chosen = PRESETS.findIndex((preset) => keys.every((key) => preset.settings[key] === settings[key]));
    buttons.forEach((button, i) => { button.setAttribute('aria-pressed', String(i === chosen)); });
    setText('preset-text', PRESETS[chosen]?.text ?? 'Your own settings. Every change restarts both networks from the same weights.');
  }

  showControls();
  showPreset();
  return () => settings;
}
