/** The page. */
import { bindBatch } from './batch/batch.js';
import { bindCopies, bindShare } from './page/share.js';
import { bindSpeed } from './speed/speed.js';
import { bindTraining } from './training/training.js';

const training = bindTraining();
bindBatch();
bindSpeed(training.pauseWhile);
bindShare(training.query);
bindCopies();
